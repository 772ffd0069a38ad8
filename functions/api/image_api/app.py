"""The FastAPI application."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from image_api import errors
from image_api.answers import Answers
from image_api.body_limit import BodyLimit
from image_api.openapi import DESCRIPTION, DocumentedApi, operation_id
from image_api.routes import files, images, posting, service, uploads
from image_core.services import Services

TITLE = "Serverless image pipeline"


def create_app(services: Callable[[], Services]) -> FastAPI:
    """The application; `services` is called when the first request needs them."""
    app = DocumentedApi(
        title=TITLE,
        description=DESCRIPTION,
        version="0.1.0",
        generate_unique_id_function=operation_id,
        # One address for each thing: `/api/images/` is not found, instead of a redirect that a POST may not follow.
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(BodyLimit, settings=lambda: services().settings)
    errors.install(app)
    for routes in (posting, images, files, uploads, service):
        app.include_router(routes.router)
    app.add_middleware(Answers)  # the outermost: the last one that is added
    return app
