"""The FastAPI application."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from image_api import errors
from image_api.body_limit import BodyLimit
from image_api.routes import files, gallery, images, service, uploads
from image_core.errors import IMAGE_ERRORS
from image_core.services import Services

TITLE = "Serverless image pipeline"
_CODES_OF_IMAGES = "\n".join(f"- `{code}`: {error.default_message}" for code, error in IMAGE_ERRORS.items())
DESCRIPTION = f"""
Upload an image, or drop it into the bucket; soon after it has thumbnails, metadata and a caption.

Answers under `/api/images` are envelopes: `status`, `data`, `error`. Error codes are stable, messages are
for people. Beside the codes of each call there is `method_not_allowed` (405), and an image whose status is
`failed` carries one of these:

{_CODES_OF_IMAGES}
"""


def create_app(services: Callable[[], Services]) -> FastAPI:
    """The application; `services` is called when the first request needs them."""
    app = FastAPI(title=TITLE, description=DESCRIPTION, version="0.1.0")
    app.state.services = services
    app.add_middleware(BodyLimit, max_bytes=lambda: services().settings.max_post_bytes)
    errors.install(app)
    for routes in (images, files, uploads, service, gallery):
        app.include_router(routes.router)
    return app
