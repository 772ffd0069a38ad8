"""A stack that requires an API key, as on AWS: started on this machine with ApiKeyRequired=true."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests import pictures
from tests.running_stack import Stack, running_stack

PAGE = "https://gallery.example"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """The stack and its key."""
    folder = tmp_path_factory.mktemp("locked")
    parameters = ["--parameter", "ApiKeyRequired=true", "--parameter", f"CorsOrigins={PAGE}"]
    with running_stack(folder, "--workers", "0", *parameters) as stack:
        yield stack, json.loads((folder / "ready.json").read_text())["api_key"]


def test_the_api_requires_the_key(locked: tuple[Stack, str]) -> None:
    stack, key = locked
    files = {"file": ("photo.jpg", pictures.jpeg(60, 40))}
    refused = stack.api.post("/api/images", files=files)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    assert stack.api.get("/api/images", headers={"X-Api-Key": key[:-1]}).status_code == 401

    accepted = stack.api.post("/api/images", files=files, headers={"X-Api-Key": key})
    assert accepted.status_code == 202
    listed = stack.api.get("/api/images", headers={"X-Api-Key": key}).json()["data"]
    assert len(listed) == 1, "the refused upload must leave nothing"


def test_health_index_and_schema_are_public_without_the_key(locked: tuple[Stack, str]) -> None:
    stack, _ = locked
    assert stack.api.get("/health").status_code == 200
    assert stack.api.get("/").status_code == 200
    assert "ApiKey" in stack.api.get("/openapi.json").json()["components"]["securitySchemes"]


def test_a_page_of_another_origin_is_allowed_if_configured(locked: tuple[Stack, str]) -> None:
    stack, _ = locked
    asked = stack.api.options("/api/images", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"})
    assert asked.headers["access-control-allow-origin"] == PAGE


def test_the_allowed_page_may_also_use_presigned_urls(locked: tuple[Stack, str]) -> None:
    stack, key = locked
    wanted = {"filename": "a.png", "content_type": "image/png", "size": 9}
    page = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    reserved = stack.api.post("/api/uploads", json=wanted, headers=page | {"X-Api-Key": key})
    assert reserved.status_code == 201
    asked = {"Access-Control-Request-Method": "PUT"}
    preflight = httpx.options(reserved.json()["upload"]["url"], headers=page | asked, trust_env=False)
    assert preflight.headers["access-control-allow-origin"] == PAGE
    foreign = stack.api.post("/api/uploads", json=wanted, headers={"Origin": f"{PAGE}.evil", "X-Api-Key": key})
    assert foreign.status_code == 403


def test_only_the_owner_can_read_the_files_that_hold_the_key(locked: tuple[Stack, str]) -> None:
    stack, _ = locked
    for name in ("env.json", "stack.json", "ready.json"):
        assert stack.env_file.with_name(name).stat().st_mode & 0o777 == 0o600
