"""Routes of this API: plain functions, and a check of the body's media type before anything reads the body."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from image_api.http.errors import WrongMediaType
from image_api.http.forms import FormRequest
from image_api.http.inline import run_blocking

_HINTS = {
    "multipart/form-data": "Send the file as multipart/form-data, in the field `file`.",
    "application/json": "Send JSON with `Content-Type: application/json`.",
}


def router(tag: str, prefix: str = "") -> APIRouter:
    """A router of `_Route`s."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=_Route, generate_unique_id_function=_operation_id)


def _operation_id(route: APIRoute) -> str:
    """The function's name, which generated clients use for the operation."""
    return route.name


class _Route(APIRoute):
    """Runs its endpoint with `run_blocking`, and rejects a body of another media type (415).

    `application/…+json` is also accepted as JSON.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @wraps(endpoint)
        async def blocking(**arguments: Any) -> Any:
            return await run_blocking(endpoint, **arguments)

        super().__init__(path, blocking, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        wanted = getattr(self.body_field.field_info, "media_type", None) if self.body_field else None
        if wanted is None:
            return handle

        async def checked(request: Request) -> Response:
            if not _is(wanted, request.headers.get("content-type", "")):
                raise WrongMediaType(_HINTS[wanted])
            if wanted == "multipart/form-data":
                request = FormRequest(request.scope, request.receive)
            return await handle(request)

        return checked


def _is(wanted: str, content_type: str) -> bool:
    given = content_type.partition(";")[0].strip().lower()
    if wanted == "application/json" and given.startswith("application/") and given.endswith("+json"):
        return True
    return given == wanted
