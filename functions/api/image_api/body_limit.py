"""Bounds the request's body, before anything keeps it: what is sent beyond the limit is not read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from image_api.errors import answer
from image_core.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MULTIPART_OVERHEAD_BYTES = 16_384
"""What boundaries, part headers and a long file name may add to a file."""


class _BodyTooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware. `max_bytes()` is asked at each request, so that nothing is configured at import."""

    def __init__(self, app: ASGIApp, max_bytes: Callable[[], int]) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            await self._app(scope, receive, send)
            return
        limit = self._max_bytes()
        refusal = answer(TooLarge.http_status, TooLarge.code, too_large_message(limit), {"Connection": "close"})
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit + MULTIPART_OVERHEAD_BYTES:
            await refusal(scope, receive, send)
            return
        received, exceeded = 0, False

        async def bounded() -> Message:
            nonlocal received, exceeded
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit + MULTIPART_OVERHEAD_BYTES:
                exceeded = True
                raise _BodyTooLarge
            return message

        async def unless_exceeded(message: Message) -> None:
            # FastAPI answers 400 to whatever goes wrong while it reads a form: that answer is replaced by ours.
            if not exceeded:
                await send(message)

        with suppress(_BodyTooLarge):
            await self._app(scope, bounded, unless_exceeded)
        if exceeded:
            await refusal(scope, receive, send)


def too_large_message(max_bytes: int) -> str:
    """What to say about a file that is too large to be posted, and the way round."""
    return (
        f"The file is larger than {max_bytes:,} bytes, the most that can be posted."
        " POST /api/uploads gives a URL to which larger files can be sent."
    )
