"""Take screenshots of the gallery: each state, light and dark, at three widths (`make screenshots`).

Writes `.screenshots/<state>-<scheme>-<width>.png`, and the pictures and the animation of the README to
`docs/screenshots`. The pictures are drawings of the demo model in many proportions, with its captions.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from models.demo.drawing import TEST_SEEDS, draw
from tests import pictures
from tests.browser.animation import record_animation
from tests.browser.chromium import ARGUMENTS, executable
from tests.browser.gallery import PROCESSED, Gallery
from tests.running_stack import ROOT, Stack, running_stack, until

FOLDER = ROOT / ".screenshots"
README_FOLDER = ROOT / "docs" / "screenshots"
IN_README = {"full-light-1440": "gallery.jpg", "review-dark-390": "gallery-phone.jpg"}
WIDTHS = {390: 844, 820: 1180, 1440: 960}  # a phone, a tablet, a laptop: width and height in CSS pixels
SCHEMES = ("light", "dark")
DRAWINGS = 198
SHAPES = ((1200, 800), (800, 1200), (1200, 900), (1000, 1000), (1280, 720), (720, 1280))
PANORAMA = (20_000, 700)
SLOW_UPLOAD = {"offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": 15_000}
EXIF = {
    "main": {0x10F: "Drawn", 0x110: "Drawn D-1"},
    "details": {0x9003: "2026:11:20 10:00:00", 0x829A: 0.004, 0x829D: 2.8, 0x8827: 100},
}


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
        record_animation(browser, stack, [drawing(number) for number in range(6)], README_FOLDER / "gallery.webp")
        stack.clear()
        for state in (_empty, _uploading, _uploading_folded):
            _photograph(browser, stack, state)
        _fill(stack)
        for state in STATES:
            _photograph(browser, stack, state)
        browser.close()
    return 0


def _photograph(browser: Browser, stack: Stack, prepare: Callable[[Gallery], None]) -> None:
    """Take the pictures of one state, which `prepare` brings the page into and which is named like it."""
    state = prepare.__name__.strip("_").replace("_", "-")
    for scheme in SCHEMES:
        for width in WIDTHS:
            name = f"{state}-{scheme}-{width}"
            with _page(browser, scheme, width) as page:
                gallery = Gallery(page, str(stack.api.base_url)).open()
                expect(page.locator("#model-name")).to_have_text(re.compile(r"\w"))
                prepare(gallery)
                until(lambda page=page: _is_drawn(page), seconds=20)
                page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
                if name in IN_README:
                    path = README_FOLDER / IN_README[name]
                    page.screenshot(path=path, type="jpeg", quality=70, animations="disabled")
                if page.locator("#uploads").is_visible():
                    page.locator("#uploads-cancel").evaluate("(button) => button.click()")  # also if it is folded
                    expect(page.locator("#upload-list .note", has_text="Canceled").nth(3)).to_be_attached()
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


def drawing(number: int) -> bytes:
    """Draw a JPEG. Its proportions depend on the number."""
    width, height = SHAPES[number % len(SHAPES)]
    side = max(width, height)
    square = draw(TEST_SEEDS.start + 40 + number).picture.resize((side, side), Image.Resampling.LANCZOS)
    left, top = (side - width) // 2, (side - height) // 2
    picture = square.crop((left, top, left + width, top + height))
    body = io.BytesIO()
    picture.save(body, "JPEG", quality=88, exif=pictures.exif(**EXIF))
    return body.getvalue()


def _panorama() -> bytes:
    """Draw a picture of 20,000 × 700 pixels: many drawings side by side."""
    panorama, body = Image.new("RGB", PANORAMA), io.BytesIO()
    side = PANORAMA[1]
    for number, left in enumerate(range(0, PANORAMA[0], side)):
        panorama.paste(draw(TEST_SEEDS.start + 2 * number).picture.resize((side, side)), (left, 0))
    panorama.save(body, "JPEG", quality=85)
    return body.getvalue()


def _fill(stack: Stack) -> None:
    """Upload 200 images, one of them a panorama and one cut short. Every fourth has the texts of a user."""
    stack.clear()
    ids = []
    for number in range(DRAWINGS):
        ids.append(stack.upload(drawing(number), f"drawing {number + 1:03}.jpg"))
        if number == DRAWINGS - 6:
            stack.upload(pictures.cut(drawing(number), 0.3), "cut short.jpg")
        if number == DRAWINGS - 9:
            stack.upload(_panorama(), "panorama.jpg")
    for number, image_id in enumerate(ids):
        stack.finished(image_id)
        if number % 4 == 0:
            words = {"alt_text_from": "caption", "tags": ["drawn", ("morning", "evening")[number % 8 // 4]]}
            assert stack.api.patch(f"/api/images/{image_id}", json=words).status_code == 200


def _empty(gallery: Gallery) -> None:
    pass


def _uploading(gallery: Gallery) -> None:
    network = gallery.page.context.new_cdp_session(gallery.page)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", SLOW_UPLOAD)
    body = pictures.encode(pictures.noise(700, 500), "JPEG", quality=90)
    names = ("harbour at dusk.jpg", "a very long name of a photograph from summer, 0042.jpg", "cat.jpg", "dog.jpg")
    files = [{"name": name, "mimeType": "image/jpeg", "buffer": body} for name in names]
    gallery.upload(*files, {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""})
    expect(gallery.page.locator("#upload-list .note", has_text=" KB of ").nth(2)).to_be_visible()
    expect(gallery.page.locator("#upload-list progress").first).not_to_have_js_property("value", 0)


def _uploading_folded(gallery: Gallery) -> None:
    _uploading(gallery)
    gallery.page.locator("#uploads-fold").click()


def _full(gallery: Gallery) -> None:
    expect(gallery.cards.nth(49)).to_be_attached()


def _statistics(gallery: Gallery) -> None:
    gallery.page.locator("#summary").click()


def _viewer(gallery: Gallery) -> None:
    gallery.open_viewer("drawing 196.jpg")


def _zoomed(gallery: Gallery) -> None:
    _viewer(gallery)
    for _ in range(3):
        gallery.page.keyboard.press("+")
    expect(gallery.page.locator("#viewer .stage img")).to_have_attribute("src", re.compile("^blob:"))


def _panorama_viewer(gallery: Gallery) -> None:
    gallery.open_viewer("panorama.jpg")
    expect(gallery.page.locator("#viewer .stage img")).to_have_attribute("src", re.compile("^blob:"))


def _selection(gallery: Gallery) -> None:
    gallery.page.get_by_role("button", name="Select", exact=True).click()
    for number in (0, 2, 3):
        gallery.cards.nth(number).locator(".open").click()


def _review(gallery: Gallery) -> None:
    gallery.page.get_by_role("button", name="Review").click()
    expect(gallery.page.locator("#review-progress")).to_have_text(re.compile("1 of"))


def _failed(gallery: Gallery) -> None:
    gallery.filter("failed")
    expect(gallery.cards).to_have_count(1)


def _failed_viewer(gallery: Gallery) -> None:
    _failed(gallery)
    gallery.cards.first.locator(".open").click()
    expect(gallery.page.locator("#viewer .state")).to_contain_text("Failed", timeout=PROCESSED)


def _nothing_found(gallery: Gallery) -> None:
    gallery.page.fill("#search", "submarine")
    expect(gallery.page.locator("#empty")).to_contain_text("No image matches")


def _offline(gallery: Gallery) -> None:
    gallery.page.context.set_offline(True)
    expect(gallery.page.locator("#offline")).to_be_visible()


def _keys(gallery: Gallery) -> None:
    gallery.page.keyboard.press("?")


STATES = (
    _full,
    _statistics,
    _viewer,
    _zoomed,
    _panorama_viewer,
    _selection,
    _review,
    _failed,
    _failed_viewer,
    _nothing_found,
    _offline,
    _keys,
)


if __name__ == "__main__":
    sys.exit(main())
