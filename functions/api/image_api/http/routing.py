"""Routes: the name of each, the media type that its body must have, and where its function runs.

The functions are plain ones that wait for AWS. A server runs them in threads, so that others are answered
meanwhile. On Lambda there are no others: an environment has one request at a time. A thread would only cost time
there, so they run where they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from image_api.http.errors import WrongMediaType

_P = ParamSpec("_P")
_T = TypeVar("_T")

_HINTS = {
    "multipart/form-data": "Send the file as multipart/form-data, in the field `file`.",
    "application/json": "Send JSON with `Content-Type: application/json`.",
}

_is_alone: ContextVar[bool] = ContextVar("is_alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """While nobody else waits to be answered by this thread."""
    before = _is_alone.set(True)
    try:
        yield
    finally:
        _is_alone.reset(before)


def one_at_a_time(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A Lambda handler that answers one request at a time."""

    @wraps(handler)
    def call(event: Any, context: Any) -> Any:
        with alone():
            return handler(event, context)

    return call


async def run_waiting(function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Calls a function that waits: in a thread, unless nobody else could be answered meanwhile."""
    if _is_alone.get():
        return function(*arguments, **named)
    return await run_in_threadpool(function, *arguments, **named)


def router(tag: str, prefix: str = "") -> APIRouter:
    """A router whose routes are those of this module."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=_Route, generate_unique_id_function=_operation_id)


def _operation_id(route: APIRoute) -> str:
    """The function's name: what generated clients call the operation."""
    return route.name


class _Route(APIRoute):
    """Answers 415 to a body of another media type before anything reads it; `application/…+json` is JSON too."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @wraps(endpoint)
        async def waiting(**arguments: Any) -> Any:
            return await run_waiting(endpoint, **arguments)

        super().__init__(path, waiting, **options)

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
