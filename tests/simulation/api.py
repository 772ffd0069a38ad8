"""The real FastAPI application, called in the current thread."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from image_api.app import create_app
from image_api.http.inline import inline
from image_core.services import Services

HOST = "api.simulated"
_BOUNDARY = "boundary-of-the-simulation"


@dataclass(frozen=True)
class Response:
    """The response that the client receives."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    services: Services, method: str, url: str, *, headers: dict[str, str] | None = None, body: bytes = b""
) -> Response:
    """Run one request to its end. As on Lambda, routes run in this thread, so nothing needs an event loop."""
    parts = urlsplit(url)
    given = {"host": HOST, "content-length": str(len(body))} | (headers or {})
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": (HOST, 443),
    }
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    running: Any = create_app(services)(scope, receive, send)
    with inline(), suppress(StopIteration):
        running.send(None)
        running.close()
        raise RuntimeError(f"{method} {url} waited for an event loop")
    start, *bodies = sent
    response_headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], response_headers, b"".join(part.get("body", b"") for part in bodies))


def multipart(body: bytes, name: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a form with one file."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    form = head.encode() + body + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}, form
