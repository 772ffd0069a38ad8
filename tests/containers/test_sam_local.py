"""`sam local start-api`, for development: the API runs in a Lambda container, and the processor on this machine."""

from __future__ import annotations

import io
import random
import signal
import socket
import subprocess
import tomllib
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests import pictures
from tests.browser.chromium import ARGUMENTS, executable
from tests.browser.gallery import Gallery, expect_loaded
from tests.containers.conftest import SAM, sam_environment
from tests.running_stack import ROOT, START_SECONDS, running_stack, until

pytestmark = pytest.mark.containers

SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["local_start_api"]["parameters"]
PORT, ENV_FILE = SAMCONFIG["port"], ROOT / SAMCONFIG["env_vars"]


def is_free(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def api(built: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """`sam local start-api` as configured in samconfig.toml, with a stack whose processor runs on this machine."""
    folder = tmp_path_factory.mktemp("sam-local")
    options = ["--containers", "--workers", "1", "--model", "demo", "--env-file", str(ENV_FILE)]
    with running_stack(folder, *options):
        if not is_free(PORT):
            pytest.skip(f"port {PORT}, samconfig.toml's, is in use on this machine")
        log = folder / "sam.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(SAM), "local", "start-api"],
                cwd=ROOT,
                env=sam_environment() | {"SAM_SKIP_PULL_IMAGE": "true"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60, trust_env=False) as client:
                until(lambda: _responds(client) or process.poll() is not None, seconds=START_SECONDS)
                assert process.poll() is None, log.read_text()
                yield client
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            print(log.read_text()[-5000:])


def _responds(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_three_megabyte_upload_is_accepted_and_its_thumbnail_returned(api: httpx.Client) -> None:
    # Noise after the end of the JPEG: real uploads are full of bytes that are not UTF-8.
    body = pictures.jpeg(1600, 1200, quality=95)
    body += random.Random(1).randbytes(3_000_000 - len(body))

    accepted = api.post("/api/images", files={"file": ("große Datei.jpg", body)})

    assert accepted.status_code == 202, accepted.text
    location = httpx.URL(accepted.headers["location"]).path
    image = until(lambda: (i := api.get(location).json())["status"] == "success" and i, seconds=60)
    assert image["data"]["metadata"]["size_bytes"] == 3_000_000
    assert image["data"]["original_name"] == "große Datei.jpg"
    for size, expected in (("small", (150, 112)), ("medium", (300, 225))):
        response = api.get(f"{location}/thumbnails/{size}")
        assert response.headers["content-type"] == "image/jpeg"
        thumbnail = Image.open(io.BytesIO(response.content))
        assert thumbnail.size == expected
        assert pictures.same_scene(thumbnail)
    original = httpx.get(api.get(f"{location}/original").headers["location"], trust_env=False)
    assert original.content == body


def test_the_gallery_works(api: httpx.Client) -> None:
    """In Chromium: open the page, pick a photo, send it to the bucket, show its thumbnail and caption."""
    chromium = executable()
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium; or CHROMIUM=/path/to/it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        gallery = Gallery(page, str(api.base_url)).open()
        name = "from the browser.jpg"
        gallery.upload({"name": name, "mimeType": "image/jpeg", "buffer": pictures.jpeg(900, 600)})

        card = gallery.finished(name)

        expect_loaded(card.locator("img"))
        expect(card.locator(".caption")).not_to_have_text("")
        viewer = gallery.open_viewer(name)
        expect(viewer.locator(".stage img")).to_have_js_property("naturalWidth", 900)
        viewer.get_by_label("Title").fill("Over sam local")
        viewer.get_by_role("button", name="Save").click()
        expect(viewer.locator(".details-form .note")).to_have_text("Saved")
        browser.close()
    assert errors == []


def test_errors_keep_their_envelope(api: httpx.Client) -> None:
    for response, status, code in (
        (api.get("/api/images/unknown"), 404, "not_found"),
        (api.get("/nowhere"), 404, "not_found"),
        (api.put("/api/images"), 405, "method_not_allowed"),
        (api.post("/api/images", files={"file": ("text.jpg", b"no picture")}), 400, "unsupported_format"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
