"""CORS: pages of the origins in CORS_ORIGINS may call the API. Disabled if that is empty.

The application handles it, not API Gateway, so that it works in the same way on AWS, under `sam local` and on the
local stack, and so that a page can read refusals (401, 413) and errors (500).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

if TYPE_CHECKING:
    from fastapi import FastAPI

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
EXPOSED_HEADERS = ("Content-Disposition", "ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id")
PREFLIGHT_CACHE_SECONDS = 7200


def install(app: FastAPI, origins: str) -> None:
    """Let pages of `origins` (comma-separated, or `*`) call `app`."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins.split(","),
        allow_methods=METHODS,
        # Any header: the API uses no cookies or other browser credentials, so there is nothing to forge.
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_CACHE_SECONDS,
    )
