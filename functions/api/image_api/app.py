"""The FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from image_api import schemas
from image_api.http import cors, error_responses
from image_api.http.api_key import ApiKeyGuard, KeyRing
from image_api.http.body_limit import BodyLimit
from image_api.http.gateway_path import GatewayPath
from image_api.http.host import HostCheck
from image_api.http.request_metrics import RequestMetrics
from image_api.http.response_headers import ResponseHeaders
from image_api.openapi import DESCRIPTION, DocumentedApi
from image_api.routes import files, images, pages, service, uploads
from image_core.services import Services

TITLE = "Serverless image pipeline"


def create_app(services: Services) -> FastAPI:
    """Create the application with these services. It makes no calls to AWS before the first request."""
    settings = services.settings
    # FastAPI would open an OpenTelemetry span for each request. http.request_metrics measures requests instead.
    quiet: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = DocumentedApi(
        title=TITLE,
        description=DESCRIPTION,
        version="0.1.0",
        # FastAPI's own pages run scripts from a CDN on the origin that stores the API key. See routes.pages.
        docs_url=None,
        redoc_url=None,
        # One URL per resource: `/api/images/` is a 404, not a redirect that clients may not follow for a POST.
        redirect_slashes=False,
        telemetry=quiet,
        lifespan=_serving,
    )
    app.state.services = services
    app.state.cached_model = service.CachedModel(services)
    # From the innermost to the outermost.
    app.add_middleware(BodyLimit, settings=settings)
    if settings.api_key_secret_arn:
        ring = KeyRing(services.secrets, settings.api_key_secret_arn)
        app.add_middleware(ApiKeyGuard, ring=ring, public_docs=settings.public_docs)
    app.add_middleware(HostCheck)
    app.add_middleware(error_responses.UnexpectedErrors)
    if settings.cors_origins:
        cors.install(app, settings.cors_origins)
    app.add_middleware(RequestMetrics)
    app.add_middleware(ResponseHeaders)
    app.add_middleware(GatewayPath)
    error_responses.install(app)
    for routes in (images, files, uploads, service, pages):
        # Not include_router: it would create every route a second time, in the first request.
        app.router.routes.extend(routes.router.routes)
    app.state.thumbnail_path = str(app.url_path_for("get_thumbnail", image_id="{image_id}", size="{size}"))
    return app


@asynccontextmanager
async def _serving(_: FastAPI) -> AsyncIterator[None]:
    """Build all models before the first request, because a server runs threads. Lambda never calls this."""
    schemas.build()
    yield
