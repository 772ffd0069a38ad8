"""Check the host and scheme of a request before they are used in URLs of responses."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from image_api.http.error_responses import error_response
from image_api.http.errors import InvalidHost

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_NAME = r"[A-Za-z0-9._-]{1,255}"
_PORT = r"(?::[0-9]{1,5})?"
_HOST = re.compile(rf"(?:{_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\]){_PORT}")
_READABLE_BY_MANGUM = re.compile(rf"{_NAME}{_PORT}")
_NO_HOST = ""


class HostCheck:
    """ASGI middleware: 400 unless `Host` is a host with an optional port, and the scheme is HTTP or HTTPS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host")
            if scope["scheme"] not in ("http", "https") or (host is not None and not _HOST.fullmatch(host)):
                await error_response(InvalidHost())(scope, receive, send)
                return
        await self._app(scope, receive, send)


def with_readable_host(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap the Mangum `handler`: it fails on some malformed hosts and ports, which `HostCheck` can then reject."""

    @wraps(handler)
    def call(event: Any, context: Any) -> Any:
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        port = headers.get("x-forwarded-port", "443")
        if not _READABLE_BY_MANGUM.fullmatch(headers.get("host", "none")) or not re.fullmatch(r"[0-9]{1,5}", port):
            event = {**event, "headers": {**headers, "host": _NO_HOST, "x-forwarded-port": "443"}}
        return handler(event, context)

    return call
