"""The animation of the README: pictures are uploaded, captioned, looked at and reviewed."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.gallery import PROCESSED, Gallery
from tests.running_stack import Stack

WIDTH, HEIGHT = 960, 640
SHORT_MS, LONG_MS = 500, 1600


class _Frames:
    """Screenshots of a page, each with the milliseconds for which it is shown."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[Image.Image] = []
        self._durations: list[int] = []

    def add(self, duration_ms: int) -> None:
        frame = Image.open(io.BytesIO(self._page.screenshot(animations="disabled"))).convert("RGB")
        if self._frames and frame.tobytes() == self._frames[-1].tobytes():
            self._durations[-1] += duration_ms
            return
        self._frames.append(frame)
        self._durations.append(duration_ms)

    def save(self, path: Path) -> None:
        first, *others = self._frames
        first.save(
            path, save_all=True, append_images=others, duration=self._durations, loop=0, quality=70, method=6
        )


def record_animation(browser: Browser, stack: Stack, files: Sequence[bytes], path: Path) -> None:
    """Upload `files` to the empty stack in the gallery, review them, and write an animated WebP to `path`."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
    page = context.new_page()
    gallery, frames = Gallery(page, str(stack.api.base_url)).open(), _Frames(page)
    frames.add(LONG_MS)
    names = [f"drawing {number}.jpg" for number in range(len(files))]
    gallery.upload(
        *({"name": name, "mimeType": "image/jpeg", "buffer": body} for name, body in zip(names, files, strict=True))
    )
    for number in range(len(files)):
        expect(gallery.cards.nth(number)).to_be_visible(timeout=PROCESSED)
        frames.add(SHORT_MS)
    for name in names:
        gallery.finished(name)
        frames.add(SHORT_MS)
    expect(page.locator("#uploads")).to_be_hidden()
    frames.add(LONG_MS)

    picture = gallery.open_viewer(names[-2]).locator(".stage img")
    expect(picture).not_to_have_js_property("naturalWidth", 0)
    frames.add(LONG_MS)
    for _ in range(3):
        page.keyboard.press("+")
        frames.add(SHORT_MS)
    page.keyboard.press("Escape")

    page.keyboard.press("r")
    for number, key in enumerate("aae"):
        expect(page.locator("#review-progress")).to_have_text(re.compile(f"{number + 1} of"))
        expect(page.locator("#review-stage img")).not_to_have_js_property("naturalWidth", 0)
        frames.add(LONG_MS)
        page.keyboard.press(key)
    words = " at dawn"
    page.keyboard.press("End")
    for at in range(0, len(words), 2):
        page.keyboard.type(words[at : at + 2])
        frames.add(SHORT_MS // 2)
    page.keyboard.press("Enter")
    frames.add(LONG_MS)
    frames.save(path)
    context.close()
