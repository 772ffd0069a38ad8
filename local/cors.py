"""CORS for the emulated bucket: the same rule as in template.yaml, for the gallery and the pages in CorsOrigins.

On AWS each bucket has its own rule. Here one rule is enough, because `local.gate` rejects every other page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from local.gate import request_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "PUT"})
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", ", ".join(sorted(METHODS))),
    # The asterisk does not include Authorization, so a page can use only presigned URLs.
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "3600"),
]


class BucketCors:
    """Wraps a WSGI emulator: only a page that `local.gate` accepted may read the response."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        if environ["REQUEST_METHOD"] == "OPTIONS":
            start_response("204 No Content", _preflight_headers(origin))
            return [b""]

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, _response_headers(headers, origin), *error)

        return self._application(environ, start)


class AsgiBucketCors:
    """Wraps an ASGI emulator in the same way."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        origin = request_headers(scope).get("origin")
        if scope["method"] == "OPTIONS":
            headers = _encoded(_preflight_headers(origin))
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body"})
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
                message = {**message, "headers": _encoded(_response_headers(headers, origin))}
            await send(message)

        await self._application(scope, receive, sent)


def _preflight_headers(origin: str | None) -> list[tuple[str, str]]:
    return [*_allowed(origin), *_PREFLIGHT] if origin else []


def _response_headers(headers: Iterable[tuple[str, str]], origin: str | None) -> list[tuple[str, str]]:
    """Replace the emulator's CORS headers, which allow every page to read everything."""
    other_headers = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
    exposed = [("Access-Control-Expose-Headers", "ETag, x-amz-version-id")] if origin else []
    return [*other_headers, *_allowed(origin), *exposed]


def _allowed(origin: str | None) -> list[tuple[str, str]]:
    return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")] if origin else []


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
