"""Chromium opens a page of another origin that tries to control the running stack; then the gallery, which may.

Security review, A1 and A7.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import pictures
from tests.browser.chromium import ARGUMENTS, executable
from tests.browser.gallery import Gallery
from tests.running_stack import Stack

ATTEMPT = """async ([method, url, mode, type, body]) => {
    const headers = type ? { "Content-Type": type } : {};
    try {
        const response = await fetch(url, { method, mode, headers, body: body ?? undefined });
        return response.type === "opaque" ? "sent" : `read ${response.status}: ${await response.text()}`;
    } catch (error) {
        return "refused";
    }
}"""
FORM = (
    '--b\r\nContent-Disposition: form-data; name="file"; filename="planted.bmp"\r\nContent-Type: image/bmp\r\n\r\n'
    "BM planted\r\n--b--\r\n"
)


class Foreign(BaseHTTPRequestHandler):
    """An empty page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.fixture
def image(empty: Stack) -> str:
    image_id = empty.upload(pictures.jpeg(90, 60))
    assert empty.finished(image_id)["status"] == "success"
    return image_id


def state(stack: Stack) -> list[Any]:
    versions = stack.s3.list_object_versions(Bucket=stack.bucket)
    return [stack.images(), [v["VersionId"] for v in versions.get("Versions", [])], versions.get("DeleteMarkers")]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_reads_nothing_and_changes_nothing(
    page: Page, stack: Stack, image: str, port: int, name: str
) -> None:
    """`localhost` is another site than the stack at 127.0.0.1; another port of 127.0.0.1 is the same site."""
    page.goto(f"http://{name}:{port}/")
    api, emulator = str(stack.api.base_url).rstrip("/"), stack.s3.meta.endpoint_url
    original = f"{emulator}/{stack.bucket}/uploads/{image}/photo.jpg"
    before = state(stack)

    for method, url, type_, body in (
        ("GET", f"{emulator}/{stack.bucket}?list-type=2", "", None),
        ("GET", original, "", None),
        ("DELETE", original, "", None),
        ("PUT", original, "image/jpeg", "planted"),
        ("POST", f"{emulator}/moto-api/reset", "", None),
        ("GET", f"{api}/api/images", "", None),
        ("POST", f"{api}/api/images", "multipart/form-data; boundary=b", FORM),
        ("DELETE", f"{api}/api/images/{image}", "", None),
    ):
        assert page.evaluate(ATTEMPT, [method, url, "cors", type_, body]) == "refused", (method, url)
    for url, type_, body in (
        (f"{emulator}/moto-api/reset", "", None),
        (f"{emulator}/{stack.bucket}?delete", "text/plain", "<Delete/>"),
        (f"{api}/api/images", "multipart/form-data; boundary=b", FORM),
        (f"{api}/api/images/{image}/reprocess", "text/plain", ""),
    ):
        assert page.evaluate(ATTEMPT, ["POST", url, "no-cors", type_, body]) == "sent", (
            "the browser sends it in any case"
        )

    assert state(stack) == before


def test_a_page_with_dns_rebinding_to_this_machine_is_refused(browser: Browser, stack: Stack, image: str) -> None:
    arguments = [*ARGUMENTS, "--host-resolver-rules=MAP rebound.example 127.0.0.1"]
    rebound = browser.browser_type.launch(executable_path=executable(), args=arguments)
    try:
        page = rebound.new_page()
        for url in (str(stack.api.base_url), stack.s3.meta.endpoint_url):
            response = page.goto(url.replace("127.0.0.1", "rebound.example"))
            assert response is not None
            assert (response.status, response.json()["error"]["code"]) == (403, "forbidden")
            assert "rebound.example" in response.json()["error"]["message"]
    finally:
        rebound.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_gallery_uploads_under_every_name_of_this_machine(
    page: Page, empty: Stack, photo: Path, name: str
) -> None:
    """Files go to the emulator by presigned PUT, and the original comes back from there."""
    gallery = Gallery(page, str(empty.api.base_url).replace("127.0.0.1", name)).open()
    with page.expect_request(lambda request: request.method == "PUT") as put:
        gallery.upload(photo)
    assert put.value.url.startswith(empty.s3.meta.endpoint_url)
    gallery.finished("my photo.jpg")
    page.evaluate(
        """(bytes) => {
            const form = new FormData();
            form.append("file", new File([new Uint8Array(bytes)], "posted.png", { type: "image/png" }));
            return fetch("/api/images", { method: "POST", body: form });
        }""",
        list(pictures.png(90, 60)),
    )
    gallery.finished("posted.png")
