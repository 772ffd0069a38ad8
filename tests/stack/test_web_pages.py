"""Requests to the running stack as a foreign web page sends them: they are refused and change nothing.

Security review, A1 and A7. `tests/browser/test_web_pages.py` lets Chromium send them.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests import pictures
from tests.running_stack import Stack

FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
NEIGHBOR = {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}
SANDBOXED = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
REBOUND = {"Host": "evil.example"}
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20261126/us-east-1/s3/aws4_request, Signature=0"}


@pytest.fixture(scope="module")
def emulator(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.s3.meta.endpoint_url, trust_env=False)


@pytest.fixture(scope="module")
def image(stack: Stack) -> str:
    """The key of the original of a processed image."""
    image_id = stack.upload(pictures.jpeg(90, 60))
    assert stack.finished(image_id)["status"] == "success"
    return f"uploads/{image_id}/photo.jpg"


def state(stack: Stack) -> list[Any]:
    versions = stack.s3.list_object_versions(Bucket=stack.bucket)
    return [stack.images(), [v["VersionId"] for v in versions["Versions"]], versions.get("DeleteMarkers")]


@pytest.mark.parametrize("sender", [FOREIGN, NEIGHBOR, SANDBOXED, REBOUND])
def test_a_foreign_page_cannot_control_the_emulator(
    stack: Stack, emulator: httpx.Client, image: str, sender: dict[str, str]
) -> None:
    before = state(stack)
    original, headers = f"/{stack.bucket}/{image}", sender | SIGNED
    for method, path in (
        ("GET", f"/{stack.bucket}?list-type=2"),
        ("GET", original),
        ("DELETE", original),
        ("PUT", original),
        ("PUT", f"/{stack.bucket}/planted.jpg"),
        ("POST", f"/{stack.bucket}?delete"),
        ("POST", "/moto-api/reset"),
        ("POST", "/v1/submitjob"),
    ):
        response = emulator.request(method, path, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert state(stack) == before


def test_a_preflight_of_a_foreign_page_gets_no_permission(stack: Stack, emulator: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    response = emulator.options("/", headers=FOREIGN | asked)
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("sender", [FOREIGN, NEIGHBOR, SANDBOXED, REBOUND, {"Sec-Fetch-Site": "cross-site"}])
def test_a_foreign_page_cannot_change_anything_through_the_api(
    stack: Stack, image: str, sender: dict[str, str]
) -> None:
    before, image_id = state(stack), image.split("/")[1]
    files = {"file": ("planted.png", pictures.png(9, 6))}
    text = sender | {"Content-Type": "text/plain"}
    for response in (
        stack.api.post("/api/images", files=files, headers=sender),
        stack.api.post(f"/api/images/{image_id}/reprocess", content="", headers=text),
        stack.api.patch(f"/api/images/{image_id}", json={"title": "planted"}, headers=sender),
        stack.api.delete(f"/api/images/{image_id}", headers=sender),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
    assert state(stack) == before


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "0.0.0.0"])
def test_a_page_with_dns_rebinding_reads_nothing(stack: Stack, host: str) -> None:
    for path in ("/api/images", "/", "/openapi.json"):
        assert stack.api.get(path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_gallery_uploads_by_post_and_by_presigned_put(stack: Stack, emulator: httpx.Client, name: str) -> None:
    host = f"{name}:{stack.api.base_url.port}"
    origin = {"Origin": f"http://{host}"}
    page = origin | {"Host": host, "Sec-Fetch-Site": "same-origin"}
    body = pictures.png(9, 6)
    posted = stack.api.post("/api/images", files={"file": ("a.png", body)}, headers=page)
    assert posted.status_code == 202

    wanted = {"filename": "b.png", "content_type": "image/png", "size": len(body)}
    reserved = stack.api.post("/api/uploads", json=wanted, headers=page).json()
    put, crossing = reserved["upload"], origin | {"Sec-Fetch-Site": "cross-site"}
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type,if-none-match"}
    preflight = emulator.options(put["url"], headers=crossing | asked)
    assert preflight.is_success
    assert preflight.headers["access-control-allow-origin"] == origin["Origin"]
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert "DELETE" not in preflight.headers["access-control-allow-methods"]
    sent = emulator.put(put["url"], content=body, headers=crossing | put["headers"])
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (200, origin["Origin"])
    for image_id in (posted.json()["image_id"], reserved["image_id"]):
        assert stack.finished(image_id)["status"] == "success"
        stack.api.delete(f"/api/images/{image_id}")


def test_programs_can_use_every_name_of_this_machine(stack: Stack, emulator: httpx.Client) -> None:
    for host in ("localhost:1", "[::1]", f"{stack.bucket}.localhost"):
        assert emulator.get("/", headers={"Host": host}).status_code == 200
    assert stack.api.get("/api/images", headers={"Host": "localhost"}).status_code == 200
