"""CORS: CORS_ORIGINS lists the allowed origins. The application itself sends the headers, locally as on AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.functional.emulator import Clients, Stack, raising
from tests.functional.http_api import Api, Response, request

PAGE, OTHER_PAGE, FOREIGN_PAGE = "https://a.example", "https://b.example", "https://evil.example"


@pytest.fixture
def make_api(make_stack: Callable[..., Stack]) -> Callable[..., Api]:
    def make(**settings: Any) -> Api:
        stack = make_stack(**settings)
        return Api(stack.services)

    return make


def preflight(api: Api, origin: str, path: str = "/api/images", method: str = "POST") -> Response:
    headers = {
        "origin": origin,
        "access_control_request_method": method,
        "access_control_request_headers": "x-api-key,content-type",
    }
    return api.send(request("http_get.json", path, method="OPTIONS", headers=headers))


@pytest.mark.parametrize("page", [PAGE, OTHER_PAGE])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_allowed_page_may_call_the_api(make_api: Callable[..., Api], page: str, method: str) -> None:
    api = make_api(cors_origins=f"{PAGE},{OTHER_PAGE}")
    asked = preflight(api, page, method=method)
    assert asked.status == 200
    assert asked.headers["access-control-allow-origin"] == page
    assert method in asked.headers["access-control-allow-methods"]
    assert "x-api-key" in asked.headers["access-control-allow-headers"]
    response = api.get("/api/images", origin=page)
    assert response.headers["access-control-allow-origin"] == page
    assert "Location" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in response.headers


def test_another_page_gets_no_permission(make_api: Callable[..., Api]) -> None:
    api = make_api(cors_origins=PAGE)
    assert preflight(api, FOREIGN_PAGE).status == 400
    assert "access-control-allow-origin" not in preflight(api, FOREIGN_PAGE).headers
    assert "access-control-allow-origin" not in api.get("/api/images", origin=FOREIGN_PAGE).headers


def test_by_default_no_page_is_allowed(make_api: Callable[..., Api]) -> None:
    api = make_api()
    assert "access-control-allow-origin" not in preflight(api, PAGE).headers
    assert "access-control-allow-origin" not in api.get("/api/images", origin=PAGE).headers


def test_every_page_can_be_allowed(make_api: Callable[..., Api]) -> None:
    response = make_api(cors_origins="*").get("/api/images", origin=FOREIGN_PAGE)
    assert response.headers["access-control-allow-origin"] == "*"


def test_a_preflight_needs_no_key_and_a_page_can_read_401(make_api: Callable[..., Api], clients: Clients) -> None:
    secret = clients.secretsmanager.create_secret(Name=f"key-{id(make_api)}", SecretString="k" * 40)
    api = make_api(cors_origins=PAGE, api_key_secret_arn=secret["ARN"])
    assert preflight(api, PAGE).status == 200
    refused = api.get("/api/images", origin=PAGE)
    assert refused.code == "unauthorized"
    assert refused.headers["access-control-allow-origin"] == PAGE


def test_a_page_can_read_an_unexpected_error(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(cors_origins=PAGE)
    stack.dynamodb.plan("query", raising(RuntimeError("unforeseen")))
    failed = Api(stack.services).get("/api/stats", origin=PAGE)
    assert (failed.status, failed.code) == (500, "internal_error")
    assert failed.headers["access-control-allow-origin"] == PAGE
    assert "X-Request-Id" in failed.headers["access-control-expose-headers"]
