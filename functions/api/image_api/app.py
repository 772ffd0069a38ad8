"""The FastAPI application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from image_api import access, cors, errors
from image_api.body_limit import BodyLimit
from image_api.routes import files, images, service, uploads
from image_core.errors import IMAGE_ERRORS
from image_core.services import Services, secrets_client

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from image_core.settings import Settings

TITLE = "Serverless image pipeline"
_CODES_OF_IMAGES = "\n".join(f"- `{code}`: {error.default_message}" for code, error in IMAGE_ERRORS.items())
DESCRIPTION = f"""
Upload an image, or drop it into the bucket; soon after it has thumbnails, metadata and a caption.

Answers under `/api/images` are envelopes: `status`, `data`, `error`. Error codes are stable, messages are
for people. Beside the codes of each call there is `method_not_allowed` (405), and an image whose status is
`failed` carries one of these:

{_CODES_OF_IMAGES}
"""


def create_app(
    services: Callable[[], Services], secrets: Callable[[Settings], SecretsManagerClient] = secrets_client
) -> FastAPI:
    """The application; `services` is called at the first request, `secrets` when an API key must be read."""

    def settings() -> Settings:
        return services().settings

    # FastAPI would open a span of OpenTelemetry for each request, which nobody reads: image_api.observed measures.
    quiet: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = FastAPI(title=TITLE, description=DESCRIPTION, version="0.1.0", telemetry=quiet)
    app.state.services = services
    app.add_middleware(BodyLimit, max_bytes=lambda: settings().max_post_bytes)
    access.install(app, settings, lambda: secrets(settings()))
    cors.install(app, settings)
    errors.install(app)
    for routes in (images, files, uploads, service):
        # Not include_router: it would make every route a second time, in the first request.
        app.router.routes.extend(routes.router.routes)
    return app
