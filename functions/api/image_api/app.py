"""The FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from image_api import schemas
from image_api.http import api_key, cors, error_responses
from image_api.http.body_limit import BodyLimit
from image_api.http.request_metrics import Observed
from image_api.http.response_headers import Answers
from image_api.openapi import DESCRIPTION, DocumentedApi
from image_api.routes import files, gallery, images, posting, service, uploads
from image_core.services import Services, secrets_client

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from image_core.settings import Settings

TITLE = "Serverless image pipeline"


def create_app(
    services: Callable[[], Services], secrets: Callable[[Settings], SecretsManagerClient] = secrets_client
) -> FastAPI:
    """The application; `services` is called at the first request, `secrets` when an API key must be read."""

    def settings() -> Settings:
        return services().settings

    # FastAPI would open an OpenTelemetry span for each request, which nobody reads: http.request_metrics measures.
    quiet: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = DocumentedApi(
        title=TITLE,
        description=DESCRIPTION,
        version="0.1.0",
        # One address for each thing: `/api/images/` is not found, instead of a redirect that a POST may not follow.
        redirect_slashes=False,
        telemetry=quiet,
        lifespan=_served,
    )
    app.state.services = services
    # From the innermost to the outermost.
    app.add_middleware(BodyLimit, settings=settings)
    api_key.install(app, settings, lambda: secrets(settings()))
    cors.install(app, settings)
    app.add_middleware(Observed)
    app.add_middleware(Answers)
    error_responses.install(app)
    for routes in (posting, images, files, uploads, service, gallery):
        # Not include_router: it would make every route a second time, in the first request.
        app.router.routes.extend(routes.router.routes)
    app.state.thumbnail_path = str(app.url_path_for("get_thumbnail", image_id="{image_id}", size="{size}"))
    return app


@asynccontextmanager
async def _served(_: FastAPI) -> AsyncIterator[None]:
    """What a server does before the first request, because it answers in threads; on Lambda nobody waits for it."""
    schemas.build()
    yield
