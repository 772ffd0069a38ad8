"""Take screenshots of the gallery: each state, light and dark, at three widths (`make screenshots`).

Writes `.screenshots/<state>-<scheme>-<width>.png`, and the two in the README to `docs/screenshots`. The pictures
are
drawings of the demo model, with its captions.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from models.demo.drawing import TEST_SEEDS, draw
from tests import pictures
from tests.browser.chromium import ARGUMENTS, executable
from tests.browser.gallery import PROCESSED, Gallery
from tests.running_stack import ROOT, Stack, running_stack, until

FOLDER = ROOT / ".screenshots"
IN_README = {"full-light-1440": "gallery.jpg", "full-dark-390": "gallery-phone.jpg"}
README_FOLDER = ROOT / "docs" / "screenshots"
WIDTHS = {390: 844, 820: 1180, 1440: 960}  # a phone, a tablet, a laptop: width and height in CSS pixels
SCHEMES = ("light", "dark")
DRAWINGS = 23
FIRST = 40
SLOW_UPLOAD = {"offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": 15_000}


def main() -> int:
    if executable() is None:
        print("Chromium is not installed (apt-get install chromium; or CHROMIUM=/path/to/it)", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    README_FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        running_stack(Path(folder), "--workers", "2", "--model", "demo") as stack,
    ):
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        _photograph(browser, stack, "empty", _nothing)
        _photograph(browser, stack, "uploading", _upload_slowly)
        _fill(stack)
        _photograph(browser, stack, "full", _nothing)
        _photograph(browser, stack, "viewer", _open_viewer)
        _photograph(browser, stack, "failed", _show_failed)
        _photograph(browser, stack, "failed-viewer", _open_failed)
        browser.close()
    return 0


def _photograph(browser: Browser, stack: Stack, state: str, prepare: Callable[[Gallery], None]) -> None:
    for scheme in SCHEMES:
        for width in WIDTHS:
            name = f"{state}-{scheme}-{width}"
            if state == "uploading":
                until(lambda: stack.images() == [], seconds=10)
            with _page(browser, scheme, width) as page:
                gallery = Gallery(page, str(stack.api.base_url)).open()
                expect(page.locator("#model-name")).to_have_text(re.compile(r"\w"))
                prepare(gallery)
                until(lambda page=page: _is_drawn(page), seconds=20)
                page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
                if name in IN_README:
                    path = README_FOLDER / IN_README[name]
                    page.screenshot(path=path, type="jpeg", quality=70, animations="disabled")
                if page.locator("#uploads-cancel").is_visible():
                    page.locator("#uploads-cancel").click()
                    expect(page.locator("#upload-list .note", has_text="Canceled").nth(3)).to_be_visible()
            print(FOLDER / f"{name}.png", flush=True)


@contextmanager
def _page(browser: Browser, scheme: str, width: int) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        has_touch=width < 1000,
        is_mobile=width < 500,
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def _is_drawn(page: Page) -> bool:
    """Return whether all visible pictures are loaded."""
    return bool(
        page.evaluate(
            """() => [...document.images].every((img) => {
                const box = img.getBoundingClientRect();
                const seen = box.bottom > 0 && box.top < innerHeight && box.width > 0;
                return !seen || !img.src || (img.complete && img.naturalWidth > 0);
            })"""
        )
    )


def _nothing(gallery: Gallery) -> None:
    pass


def _upload_slowly(gallery: Gallery) -> None:
    network = gallery.page.context.new_cdp_session(gallery.page)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", SLOW_UPLOAD)
    body = pictures.encode(pictures.noise(700, 500), "JPEG", quality=90)
    names = ("harbour at dusk.jpg", "mountain lake.jpg", "family, summer 2026.jpg", "cat on the piano.png")
    files = [{"name": name, "mimeType": "image/jpeg", "buffer": body} for name in names]
    gallery.upload(*files, {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""})
    expect(gallery.page.locator("#upload-list .note", has_text=" KB of ").nth(2)).to_be_visible()
    expect(gallery.page.locator("#upload-list progress").first).not_to_have_js_property("value", 0)


def _fill(stack: Stack) -> None:
    """Upload drawings, two files that cannot be decoded, and one image with a user's texts."""
    stack.clear()
    ids = []
    for number in range(DRAWINGS):
        picture = draw(TEST_SEEDS.start + FIRST + number).picture.resize((900, 900))
        body = io.BytesIO()
        exif = pictures.exif(main={0x10F: "Drawn", 0x110: "models.demo", 0x132: "2026:11:20 10:00:00"})
        picture.save(body, "JPEG", quality=92, exif=exif)
        ids.append(stack.upload(body.getvalue(), f"drawing {number + 1:02}.jpg"))
        if number in (8, 15):
            stack.upload(pictures.cut(body.getvalue(), 0.3), f"cut short {number}.jpg")
    for image_id in ids:
        stack.finished(image_id)
    words = {"title": "Evening, drawn by a rule", "alt_text": "A drawing", "tags": ["drawn", "evening"]}
    assert stack.api.patch(f"/api/images/{ids[-1]}", json=words).status_code == 200


def _open_viewer(gallery: Gallery) -> None:
    gallery.cards.first.locator(".open").click()
    expect(gallery.page.locator("#viewer .shown img")).to_have_attribute("src", re.compile("^blob:"))
    gallery.page.locator("#viewer summary").click()
    gallery.page.locator("#viewer").evaluate("(dialog) => dialog.scrollTo(0, 0)")


def _show_failed(gallery: Gallery) -> None:
    gallery.page.select_option("#status", "failed")
    expect(gallery.cards).to_have_count(2)


def _open_failed(gallery: Gallery) -> None:
    _show_failed(gallery)
    gallery.cards.first.locator(".open").click()
    expect(gallery.page.locator("#viewer .state")).to_contain_text("Failed", timeout=PROCESSED)


if __name__ == "__main__":
    sys.exit(main())
