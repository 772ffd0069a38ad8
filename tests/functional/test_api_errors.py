"""General errors: all have the same envelope, and none reveals internals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from image_api.http.host import HostCheck
from image_core.model import Status
from tests import pictures
from tests.functional.emulator import Stack, raising
from tests.functional.http_api import Api, Response, request
from tests.functional.images import stored_image

SECRET = "arn:aws:dynamodb:eu-west-1:123456789012:table/the-secret-table"
ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"


@pytest.mark.parametrize(
    "path", ["/nope", "/api", "/api/image", f"/api/images/{ID}/thumbnails", "//", "/api/images/"]
)
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    response = api.get(path)
    assert (response.status, response.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/images", {"GET", "HEAD", "POST"}),
        ("POST", f"/api/images/{ID}", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("GET", "/api/uploads", {"POST"}),
        ("HEAD", "/api/uploads", {"POST"}),
        ("DELETE", "/api/stats", {"GET", "HEAD"}),
        ("POST", f"/api/images/{ID}/thumbnails/small", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_an_unsupported_method_is_method_not_allowed(api: Api, method: str, path: str, allowed: set[str]) -> None:
    response = api.send(request("http_get.json", path, method=method))
    assert response.status == 405
    assert method == "HEAD" or response.code == "method_not_allowed"
    assert set(response.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "a:b:c"},
        {"host": "[::1]"},
        {"host": "evil.example:x"},
        {"host": "evil.example", "x-forwarded-port": "abc"},
        {"host": "evil.example/x?"},
        {"host": "user@evil.example"},
        {"host": "evil.example#"},
        {"host": "evil .example"},
        {"host": ""},
        {"host": "a1b2.example", "x-forwarded-proto": "javascript"},
    ],
)
def test_a_malformed_host_port_or_scheme_is_refused_and_not_echoed(api: Api, headers: dict[str, str]) -> None:
    response = api.send(request("http_get.json", "/", headers=headers))
    assert (response.status, response.code) == (400, "invalid_request")
    assert response.headers["x-request-id"]
    assert "evil" not in f"{response.headers} {response.body!r}"


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1:21000", "xn--bcher-kva.example", "my_host", "A.B.C:443"]
)
def test_any_valid_host_is_served(api: Api, host: str) -> None:
    index = api.send(request("http_get.json", "/", headers={"host": host})).json()
    assert index["documentation"] == f"https://{host}/docs"


def test_an_ipv6_host_is_served() -> None:
    served: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope)

    scope: Any = {"type": "http", "scheme": "http", "headers": [(b"host", b"[::1]:8000")]}
    asyncio.run(HostCheck(app)(scope, None, None))  # type: ignore[arg-type]
    assert served == [scope]


def calls(api: Api, image_id: str) -> dict[str, Any]:
    path = f"/api/images/{image_id}"
    return {
        "list": lambda: api.get("/api/images"),
        "image": lambda: api.get(path),
        "thumbnail": lambda: api.get(f"{path}/thumbnails/small"),
        "original": lambda: api.get(f"{path}/original"),
        "upload": lambda: api.upload(pictures.jpeg()),
        "reserve": lambda: api.post_json(
            "/api/uploads", {"filename": "a.jpg", "content_type": "image/jpeg", "size": 1}
        ),
        "reprocess": lambda: api.post(f"{path}/reprocess"),
        "delete": lambda: api.delete(path),
        "stats": lambda: api.get("/api/stats"),
        "health": lambda: api.get("/health"),
    }


def with_every_read_and_write_failing(stack: Stack, error: Exception) -> None:
    for operation in ("get_item", "query", "put_item", "transact_write_items", "batch_get_item"):
        stack.dynamodb.plan(operation, *[raising(error)] * 5)


NAMES = ["list", "image", "thumbnail", "original", "upload", "reserve", "reprocess", "delete", "stats", "health"]


@pytest.mark.parametrize("name", NAMES)
def test_an_unexpected_error_is_an_internal_error_and_is_logged(
    stack: Stack, api: Api, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    record = stored_image(stack, Status.SUCCESS)
    call = calls(api, record.image_id)[name]
    with_every_read_and_write_failing(stack, RuntimeError(SECRET))
    response: Response = call()
    assert (response.status, response.code) == (500, "internal_error")
    assert_reveals_no_internals(response, stack)
    assert SECRET in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_an_aws_error_is_unavailable_and_is_logged(
    stack: Stack, api: Api, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    record = stored_image(stack, Status.SUCCESS)
    call = calls(api, record.image_id)[name]
    with_every_read_and_write_failing(
        stack, ClientError({"Error": {"Code": "ThrottlingException", "Message": SECRET}}, "GetItem")
    )
    response: Response = call()
    assert (response.status, response.code) == (503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert_reveals_no_internals(response, stack)
    assert SECRET in caplog.text


def test_a_permanent_aws_error_has_no_retry_after(stack: Stack, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    record = stored_image(stack, Status.SUCCESS)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": SECRET}}, "GetItem")
    stack.dynamodb.plan("get_item", raising(denied))
    response = api.get(f"/api/images/{record.image_id}")
    assert (response.status, response.code) == (500, "internal_error")
    assert "retry-after" not in response.headers
    assert_reveals_no_internals(response, stack)
    assert SECRET in caplog.text


@pytest.mark.parametrize("name", ["thumbnail", "upload"])
def test_a_bucket_that_cannot_be_reached_is_unavailable(stack: Stack, api: Api, name: str) -> None:
    record = stored_image(stack, Status.SUCCESS)
    call = calls(api, record.image_id)[name]
    unreachable = EndpointConnectionError(endpoint_url=f"https://{stack.uploads_bucket}.s3.amazonaws.com")
    for operation in ("get_object", "put_object"):
        stack.s3.plan(operation, raising(unreachable))
    response: Response = call()
    assert (response.status, response.code) == (503, "unavailable")
    assert_reveals_no_internals(response, stack)


def assert_reveals_no_internals(response: Response, stack: Stack) -> None:
    text = response.body.decode() + str(response.headers)
    for name in ("arn:", "Traceback", stack.uploads_bucket, stack.thumbnails_bucket, stack.images_table, SECRET):
        assert name not in text
