"""The gallery, as its users see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

SECONDS = 1000  # playwright uses milliseconds
PROCESSED = 30 * SECONDS


@dataclass(frozen=True)
class Gallery:
    """The page at `address`."""

    page: Page
    address: str

    def open(self, fragment: str = "") -> Gallery:
        self.page.goto(self.address.rstrip("/") + "/" + fragment)
        expect(self.page.locator(".tile.total strong")).not_to_have_text("–")
        return self

    def upload(self, *files: Path | dict[str, Any]) -> None:
        """Select files, given as paths or as `{name, mimeType, buffer}`."""
        self.page.set_input_files("#files", list(files))  # type: ignore[arg-type]

    def drop(self, files: Sequence[tuple[str, str, bytes]]) -> None:
        """Drag files (name, media type, bytes) over the page and drop them."""
        transfer = self.page.evaluate_handle(
            """(files) => {
                const transfer = new DataTransfer();
                for (const [name, type, bytes] of files)
                    transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
                return transfer;
            }""",
            [[name, type_, list(body)] for name, type_, body in files],
        )
        for event in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event("body", event, {"dataTransfer": transfer})

    @property
    def cards(self) -> Locator:
        return self.page.locator(".card")

    def card(self, name: str, status: str | None = None) -> Locator:
        """Return the card with this name, and with this status if one is given."""
        wanted = f'.card[data-status="{status}"]' if status else ".card"
        return self.page.locator(wanted).filter(has=self.page.locator(".name", has_text=name))

    def finished(self, name: str, status: str = "success") -> Locator:
        """Return the card after its image has been processed."""
        card = self.card(name, status)
        expect(card).to_be_visible(timeout=PROCESSED)
        return card

    def filter(self, status: str) -> None:
        """Press the chip of a status; "" is that of all images."""
        self.page.locator(f'#statuses [data-status="{status}"]').click()

    def open_viewer(self, name: str) -> Locator:
        self.card(name).locator(".open").click()
        viewer = self.page.locator("#viewer")
        expect(viewer).to_be_visible()
        return viewer

    def findings(self) -> list[str]:
        """Return axe-core's serious and critical findings."""
        results = Axe().run(self.page)
        return [
            f"{found['id']}: {[node['html'] for node in found['nodes']][:3]}"
            for found in results.response["violations"]
            if found["impact"] in ("serious", "critical")
        ]


def expect_loaded(picture: Locator) -> None:
    """Wait until an <img> shows pixels."""
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", True)
    expect(picture).not_to_have_js_property("naturalWidth", 0)
