"""Decide which requests a server on this machine accepts: none from foreign web pages, and only for its host names.

A browser lets any web page send requests to 127.0.0.1. Three headers, which a page cannot forge, reveal such
requests:

- `Origin` names the page that sends the request. Browsers add it to everything but simple GET and HEAD requests.
- `Sec-Fetch-Site` says whether that page belongs to the server.
- `Host` is the server's name in the page's request. A page can point its own name at 127.0.0.1 (DNS rebinding) and
  then belongs to the server. `Host` is the page's own name in this case.

curl and the AWS SDKs send neither `Origin` nor `Sec-Fetch-Site`.

This module imports only the standard library, because MiniStack's environment does not have other dependencies.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_WILDCARDS = {"0.0.0.0", "[::]"}
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d*)?", re.IGNORECASE)
_READS = {"GET", "HEAD"}
_FOREIGN_SITES = {"cross-site", "same-site"}


@dataclass(frozen=True)
class Request:
    """The parts of a request that the decision depends on. A missing header is None."""

    method: str
    host: str | None
    origin: str | None = None
    fetch_site: str | None = None


@dataclass(frozen=True)
class Gate:
    """The hosts and pages that a server accepts.

    `hosts`: names and addresses besides those of the loopback interface, in the format of `Host` headers. 0.0.0.0
    means every IP address and this machine's name.
    `origins`: the pages that may send requests, `*` for all.
    `has_pages`: whether the server itself serves pages, which may then send requests to it.
    `page_methods`: the methods that pages may use, None for all.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    has_pages: bool = False
    page_methods: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        hosts: Iterable[str],
        origins: Iterable[str],
        *,
        has_pages: bool = False,
        page_methods: frozenset[str] | None = None,
    ) -> Gate:
        """Create a gate for hosts and origins from a command line."""
        return cls(frozenset(map(in_url, hosts)), frozenset(map(str.lower, origins)), has_pages, page_methods)

    def refusal(self, request: Request) -> str | None:
        """Return why the request is rejected and what to do about it. None if the request is accepted."""
        if not self._serves(request.host):
            return (
                f"This server does not serve the host {request.host or ''!r}. Use 127.0.0.1 or localhost. To serve "
                "the API under another name, start the stack with --host."
            )
        if request.origin is None:
            if request.method not in _READS and request.fetch_site in _FOREIGN_SITES:
                return "A web page of another site sent this request. Only the API's own pages may do that."
            return None
        if not self._knows(request.origin, request.host):
            return (
                f"Web pages of {request.origin!r} may not send requests to this server. To allow them, start the "
                "stack with --parameter CorsOrigins=ORIGIN."
            )
        if self.page_methods is not None and request.method not in self.page_methods:
            return f"Web pages may not send {request.method} requests to this server. Use the API instead."
        return None

    def _serves(self, host: str | None) -> bool:
        found = _HOST.fullmatch(host or "")
        if found is None:
            return False
        name = found["name"].lower()
        # Browsers and resolvers keep *.localhost on this machine. SDKs prepend the name of a bucket to it.
        if name in _LOOPBACK or name.endswith(".localhost") or name in self.hosts:
            return True
        return bool(_WILDCARDS & self.hosts) and (_is_address(name) or name in _names_of_this_machine())

    def _knows(self, origin: str, host: str | None) -> bool:
        is_own = self.has_pages and origin.lower() == f"http://{host}".lower()
        return is_own or "*" in self.origins or origin.lower() in self.origins


def in_url(host: str) -> str:
    """Format a host for URLs and `Host` headers: an IPv6 address is in brackets."""
    return f"[{host}]".lower() if ":" in host else host.lower()


def page_origins(host: str, port: int) -> set[str]:
    """The origins of pages of a server at `host` and `port`, in a browser on this machine."""
    return {f"http://{name}:{port}" for name in (*_LOOPBACK, in_url(host))}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _names_of_this_machine() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local"}


def request_headers(scope: Scope) -> dict[str, str]:
    """The headers of an ASGI request by their lowercase names. Repeated headers are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def send_response(send: Send, status: int, content_type: str, body: bytes) -> None:
    """Send a whole ASGI response."""
    headers = [(b"content-type", content_type.encode("latin-1")), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class AsgiGate:
    """Wraps an ASGI application: rejected requests get 403, before their body is read."""

    def __init__(self, application: ASGIApp, gate: Gate) -> None:
        self._application = application
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = request_headers(scope)
            host, origin, site = (headers.get(name) for name in ("host", "origin", "sec-fetch-site"))
            if reason := self._gate.refusal(Request(scope["method"], host, origin, site)):
                await send_response(send, 403, "application/json", json.dumps(_envelope(reason)).encode())
                return
        await self._application(scope, receive, send)


class WsgiGate:
    """Wraps a WSGI application: rejected requests get 403, before their body is read."""

    def __init__(self, application: WSGIApplication, gate: Gate) -> None:
        self._application = application
        self._gate = gate

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host, origin, site = (environ.get(f"HTTP_{name}") for name in ("HOST", "ORIGIN", "SEC_FETCH_SITE"))
        reason = self._gate.refusal(Request(environ["REQUEST_METHOD"], host, origin, site))
        if reason is None:
            return self._application(environ, start_response)
        body = json.dumps(_envelope(reason)).encode()
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _envelope(message: str) -> dict[str, Any]:
    """The body of an error response, in the API's format."""
    return {"status": "error", "data": None, "error": {"code": "forbidden", "message": message}}
