"""Call the API through Mangum as API Gateway does: payload format 2.0, with binary bodies in base64."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from mangum import Mangum

from image_api.app import create_app
from image_api.http.host import with_readable_host
from image_api.http.inline import inline_handler
from image_core.services import Services
from tests.events import Event, load

HOST = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
BASE = f"https://{HOST}"
BOUNDARY = "------------------------d74496d66958873e"


@dataclass(frozen=True)
class Response:
    """The response that API Gateway would send to the client."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """Return the error's code, after a check that the body is an error envelope and nothing else."""
        envelope = self.json()
        assert set(envelope) == {"status", "data", "error"}
        assert (envelope["status"], envelope["data"]) == ("error", None)
        assert set(envelope["error"]) == {"code", "message"}
        assert envelope["error"]["message"]
        return envelope["error"]["code"]


class Api:
    """Calls the API function with API Gateway events."""

    def __init__(self, services: Services) -> None:
        self._handler = inline_handler(with_readable_host(Mangum(create_app(services), lifespan="off")))

    def send(self, event: Event) -> Response:
        context: Any = object()
        raw = self._handler(event, context)
        body: str = raw.get("body", "")
        return Response(
            raw["statusCode"],
            raw.get("headers", {}),
            base64.b64decode(body) if raw["isBase64Encoded"] else body.encode(),
        )

    def get(self, path: str, query: str = "", **headers: str) -> Response:
        return self.send(request("http_get.json", path, query, headers=headers))

    def delete(self, path: str) -> Response:
        return self.send(request("http_delete.json", path))

    def post(self, path: str) -> Response:
        return self.send(request("http_post_empty.json", path))

    def post_json(self, path: str, value: Any) -> Response:
        return self.send(request("http_post_json.json", path, body=json.dumps(value).encode()))

    def upload(self, body: bytes, name: str = "photo.jpg", content_type: str = "image/jpeg") -> Response:
        return self.send(upload_event(body, name, content_type))


def request(
    file: str,
    path: str,
    query: str = "",
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Event:
    """Load the event in `file` and replace its path (and, if given, query, method, headers and body)."""
    event = load(file)
    http = event["requestContext"]["http"]
    event["rawPath"] = http["path"] = path
    event["rawQueryString"] = query
    event.pop("queryStringParameters", None)
    http["method"] = method or http["method"]
    event["headers"] |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    if body is not None:
        event["headers"]["content-length"] = str(len(body))
        event["body"] = base64.b64encode(body).decode() if event["isBase64Encoded"] else body.decode()
    return event


def multipart(body: bytes, name: str, content_type: str, field: str = "file") -> bytes:
    """Build a form with one file, as curl sends it."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()


def upload_event(body: bytes, name: str = "photo.jpg", content_type: str = "image/jpeg") -> Event:
    return request("http_post_multipart.json", "/api/images", body=multipart(body, name, content_type))
