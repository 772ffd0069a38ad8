"""The size limit of a request's body, checked before anything reads the body.

On Lambda the declared length would be enough, because API Gateway sends whole bodies. The local server also
receives chunked bodies, which declare no length: they are rejected as soon as they exceed the limit, so that they
never fill the memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from image_api.http.error_responses import error_response
from image_api.http.errors import TooLarge
from image_api.limits import post_limit_message

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from image_core.settings import Settings

MULTIPART_OVERHEAD_BYTES = 16_384
"""Maximum number of bytes that boundaries, part headers and a long file name add to a file."""
MAX_JSON_BYTES = 65_536
"""Limit for JSON. The longest useful body is a PATCH of about 30,000 bytes."""


_JSON_TOO_LARGE = (
    f"The body is larger than {MAX_JSON_BYTES:,} bytes, the limit of this call."
    " Send a file with POST /api/images, or to the URL that POST /api/uploads returns."
)


class _BodyTooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware: 413 for a body over the limit of its call."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._file = settings.max_post_bytes + MULTIPART_OVERHEAD_BYTES, post_limit_message(settings)
        self._json = MAX_JSON_BYTES, _JSON_TOO_LARGE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            await self._app(scope, receive, send)
            return
        is_file = scope["method"] == "POST" and scope["path"] == "/api/images"
        limit, message = self._file if is_file else self._json
        refusal = error_response(TooLarge(message), {"Connection": "close"})
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            await refusal(scope, receive, send)
            return
        received, exceeded = 0, False

        async def bounded() -> Message:
            nonlocal received, exceeded
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                exceeded = True
                raise _BodyTooLarge
            return message

        async def unless_exceeded(message: Message) -> None:
            # FastAPI turns any error while it reads a form into a 400; that response is replaced by the 413.
            if not exceeded:
                await send(message)

        with suppress(_BodyTooLarge):
            await self._app(scope, bounded, unless_exceeded)
        if exceeded:
            await refusal(scope, receive, send)
