"""CORS: pages of the origins in CORS_ORIGINS may call the API. Off where that is empty.

Answered by the application, not by API Gateway, so that it is the same on AWS, under `sam local` and on the local
stack, and refusals (401, 413) reach the page as what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from image_core.settings import Settings

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
EXPOSED_HEADERS = ("Content-Disposition", "ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id")
PREFLIGHT_KEPT_SECONDS = 7200


class Cors:
    """ASGI middleware; it reads the settings at the first request, so that nothing is configured at import."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings
        self._answering: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._answering is None:
            self._answering = self._with_cors()
        await self._answering(scope, receive, send)

    def _with_cors(self) -> ASGIApp:
        origins = self._settings().cors_origins
        if not origins:
            return self._app
        from starlette.middleware.cors import CORSMiddleware  # here: most stacks never need it

        return CORSMiddleware(
            self._app,
            allow_origins=origins.split(","),
            allow_methods=METHODS,
            # Any header: there are no cookies and no credentials of the browser's that one could ride on.
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_KEPT_SECONDS,
        )


def install(app: FastAPI, settings: Callable[[], Settings]) -> None:
    """Outside of everything that may refuse a call."""
    app.add_middleware(Cors, settings=settings)
