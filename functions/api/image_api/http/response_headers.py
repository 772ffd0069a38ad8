"""Headers of every response: request id, no sniffing, no scripts, cache control.

HEAD is served as GET without the body.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-Id"
NOT_A_PAGE = "default-src 'none'; sandbox"
"""The Content-Security-Policy of everything but pages, which have their own: a browser loads and runs nothing."""


class ResponseHeaders:
    """ASGI middleware around all others that send responses, so that errors get these headers too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        is_head = scope["method"] == "HEAD"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("Content-Security-Policy", NOT_A_PAGE)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        state = {**scope.get("state", {}), "request_id": request_id}
        inner = {**scope, "method": "GET" if is_head else scope["method"], "state": state}
        await self._app(inner, receive, with_headers)


def request_id_of(scope: Scope) -> str:
    """API Gateway's id, which is also in its access log, or else a new one. Callers cannot choose it."""
    context = scope.get("aws.event", {}).get("requestContext", {})
    return str(context.get("requestId") or uuid.uuid4().hex)
