"""How pictures reach the page over a slow connection: placeholders, layout shifts, requests and bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, Route, expect

from bench import photographs
from tests import pictures
from tests.browser.gallery import Gallery

SLOW_LINE = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
"""Milliseconds and bytes per second: 1.6 Mbit/s down, as on a bad mobile connection."""
LONG_MS = 60_000
STEP = 700
"""CSS pixels that one turn of the wheel scrolls."""
SHAPES = ((1296, 864), (864, 1296), (1296, 972), (1296, 1296), (1296, 729))
PANORAMA, COLUMN = (4000, 200), (200, 2400)

_RECORD_SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
        if (!entry.hadRecentInput)
            window.shifts.push([entry.value, ...entry.sources.map((source) => source.node?.className)]);
}).observe({ type: "layout-shift", buffered: true });"""

# What a card in view shows: how much its placeholder's pixels differ, or null if it does not cover the card.
_PLACEHOLDERS_IN_VIEW = """() => [...document.querySelectorAll(".card")].filter((card) => {
    const box = card.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
}).map((card) => {
    const [frame, canvas, img] = [".picture", "canvas", "img"].map((name) => card.querySelector(name));
    const sides = ({ width, height }) => `${width} ${height}`;
    const covers = sides(canvas.getBoundingClientRect()) === sides(frame.getBoundingClientRect());
    if (!covers || !canvas.width || img.naturalWidth) return null;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return Math.max(...[0, 1, 2].map((channel) => {
        const values = data.filter((_, at) => at % 4 === channel);
        return Math.max(...values) - Math.min(...values);
    }));
})"""

_ARE_LOADED = """() => [...document.querySelectorAll(".card img")].every((img) => {
    const box = img.getBoundingClientRect();
    const isInView = box.bottom > 0 && box.top < innerHeight;
    return !isInView || img.complete && img.naturalWidth > 0;
})"""


def photograph_files() -> list[bytes]:
    """Draw 24 JPEGs that compress like photographs: landscapes, portraits, squares, a panorama, and a column."""
    sides = [(width + number, height + number) for number in range(5) for width, height in SHAPES]
    return [
        pictures.encode(photographs.scene(*one, transparent=False), "JPEG", quality=85)
        for one in (*sides[:22], PANORAMA, COLUMN)
    ]


class Traffic:
    """Counts what the page loads, and slows its connection down."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._urls: dict[str, str] = {}
        self._cached: set[str] = set()
        self._bytes: dict[str, int] = {}
        self._ended: set[str] = set()
        session = page.context.new_cdp_session(page)
        session.on(
            "Network.requestWillBeSent", lambda event: self._sent(event["requestId"], event["request"]["url"])
        )
        session.on("Network.requestServedFromCache", lambda event: self._cached.add(event["requestId"]))
        session.on("Network.responseReceived", self._received)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.loadingFailed", lambda event: self._ended.add(event["requestId"]))
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW_LINE)

    def reset(self) -> None:
        self._settle()
        self._urls.clear()
        self._cached.clear()
        self._bytes.clear()
        self._ended.clear()

    def _settle(self) -> None:
        """Wait until every request has ended."""
        deadline = time.monotonic() + LONG_MS / 1000
        while self._urls.keys() - self._ended and time.monotonic() < deadline:
            self._page.wait_for_timeout(20)

    def measure(self) -> dict[str, Any]:
        """Return how many thumbnails the page showed from its cache, and what went over the network."""
        self._settle()
        thumbnails = {one for one, url in self._urls.items() if "/thumbnails/" in url}
        sent = self._urls.keys() - self._cached
        return {
            "thumbnails": len(thumbnails & sent),
            "thumbnails_kb": self._kilobytes(thumbnails & sent),
            "cached_thumbnails": len(thumbnails & self._cached),
            "other_requests": len(sent - thumbnails),
            "other_kb": self._kilobytes(sent - thumbnails),
        }

    def _kilobytes(self, requests: set[str]) -> int:
        return round(sum(self._bytes.get(one, 0) for one in requests) / 1000)

    def _sent(self, request: str, url: str) -> None:
        if url.startswith("http"):  # not blob: or data:
            self._urls[request] = url

    def _received(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self._cached.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = int(event["encodedDataLength"])
        self._ended.add(event["requestId"])


@contextmanager
def held_thumbnails(page: Page) -> Iterator[list[Route]]:
    """Let no thumbnail arrive until the end. The page has no HTTP cache from now on."""
    held: list[Route] = []
    page.route("**/thumbnails/**", lambda route: held.append(route))  # a built-in method cannot be a handler
    yield held
    for route in held:
        route.continue_()
    page.unroute("**/thumbnails/**")


def record_shifts(page: Page) -> Callable[[], list[Any]]:
    """Record layout shifts from the next navigation on. Returns a function that returns them."""
    page.add_init_script(_RECORD_SHIFTS)
    return lambda: list(page.evaluate("window.shifts"))


def placeholders_in_view(page: Page) -> list[int | None]:
    """Return how much the placeholder's pixels differ (0 to 255), for each card in view. None: it shows none."""
    return list(page.evaluate(_PLACEHOLDERS_IN_VIEW))


def visit(gallery: Gallery, number: int) -> dict[str, float]:
    """Open the page, and scroll to the last of `number` images, at a speed at which every picture is seen.

    Returns the seconds from the navigation until the first view had cards, with placeholders, and pictures.
    """
    page = gallery.page
    started = time.monotonic()
    page.goto(gallery.address, wait_until="commit")
    gallery.cards.first.wait_for()
    cards = time.monotonic() - started
    page.wait_for_function(_ARE_LOADED, timeout=LONG_MS)
    seconds = {"cards_seconds": round(cards, 1), "pictures_seconds": round(time.monotonic() - started, 1)}
    _scroll_through(gallery, number)
    return seconds


def two_visits(gallery: Gallery, number: int) -> list[dict[str, Any]]:
    """Visit the page twice in one browser. Checks that nothing moves and that `number` pictures are loaded once.

    Returns what each visit measured.
    """
    page, visits = gallery.page, []
    shifts, traffic = record_shifts(page), Traffic(page)
    for _ in range(2):
        seconds = visit(gallery, number)
        visits.append(seconds | traffic.measure() | {"shifts": shifts()})
        page.goto("about:blank")
        traffic.reset()
    first, second = visits
    assert first["shifts"] == second["shifts"] == [], visits
    assert first["thumbnails"] == number, visits
    assert (second["thumbnails"], second["thumbnails_kb"], second["cached_thumbnails"]) == (0, 0, number), visits
    return visits


def _scroll_through(gallery: Gallery, number: int) -> None:
    page = gallery.page
    page.mouse.move(page.viewport_size["width"] / 2, 500)  # type: ignore[index]
    for _ in range(number):
        page.mouse.wheel(0, STEP)
        page.wait_for_function(_ARE_LOADED, timeout=LONG_MS)
        at_end = "() => scrollY + innerHeight >= document.documentElement.scrollHeight - 1"
        if gallery.cards.count() == number and page.evaluate(at_end):
            break
    expect(gallery.cards).to_have_count(number)
    unloaded = '() => [...document.querySelectorAll(".card img")].filter((img) => !img.naturalWidth).length'
    assert page.evaluate(unloaded) == 0
