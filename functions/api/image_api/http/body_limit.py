"""Bounds the request's body, before anything keeps it: what is sent beyond the limit is not read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from image_api.http.error_responses import error_response
from image_api.http.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from image_core.settings import Settings

MULTIPART_OVERHEAD_BYTES = 16_384
"""What boundaries, part headers and a long file name may add to a file."""
MAX_JSON_BYTES = 65_536
"""Of a body that is no file. The longest that makes sense is a PATCH of some 30,000 bytes."""


class _BodyTooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware. `settings()` is asked at each request, so that nothing is configured at import."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            await self._app(scope, receive, send)
            return
        settings = self._settings()
        if scope["method"] == "POST" and scope["path"] == "/api/images":
            limit, message = settings.max_post_bytes + MULTIPART_OVERHEAD_BYTES, file_too_large_message(settings)
        else:
            limit, message = MAX_JSON_BYTES, _JSON_TOO_LARGE
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
            # FastAPI answers 400 to whatever goes wrong while it reads a form: that answer is replaced by ours.
            if not exceeded:
                await send(message)

        with suppress(_BodyTooLarge):
            await self._app(scope, bounded, unless_exceeded)
        if exceeded:
            await refusal(scope, receive, send)


_JSON_TOO_LARGE = (
    f"The body is larger than {MAX_JSON_BYTES:,} bytes, the most that this call takes."
    " A file is sent with POST /api/images, or to the URL that POST /api/uploads gives."
)


def file_too_large_message(settings: Settings) -> str:
    """What to say about a file that is too large to be posted, and the way round."""
    posted, largest = settings.max_post_bytes, settings.max_image_bytes
    if posted == largest:
        return largest_file_message(settings)
    return (
        f"The file is larger than {posted:,} bytes, the most that can be posted."
        f" POST /api/uploads gives a URL to which up to {largest:,} bytes can be sent."
    )


def largest_file_message(settings: Settings) -> str:
    """What to say about a file that is too large for any call."""
    return (
        f"The file is larger than {settings.max_image_bytes:,} bytes, the most that is taken."
        " Scale the picture down, then send it with POST /api/uploads."
    )
