"""Refuses a body of a media type that a call does not take, before anything reads it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from image_core.errors import WrongMediaType

_HINTS = {
    "multipart/form-data": "Send the file as multipart/form-data, in the field `file`.",
    "application/json": "Send JSON with `Content-Type: application/json`.",
}


class TypedRoute(APIRoute):
    """A route that answers 415 to a body that is not of its media type; `application/…+json` is JSON too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        wanted = getattr(self.body_field.field_info, "media_type", None) if self.body_field else None
        if wanted is None:
            return handle

        async def checked(request: Request) -> Response:
            if not _is(wanted, request.headers.get("content-type", "")):
                raise WrongMediaType(_HINTS[wanted])
            return await handle(request)

        return checked


def _is(wanted: str, content_type: str) -> bool:
    given = content_type.partition(";")[0].strip().lower()
    if wanted == "application/json" and given.startswith("application/") and given.endswith("+json"):
        return True
    return given == wanted
