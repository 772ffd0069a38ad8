"""How fast the page responds while 2,000 images are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.delivery import record_shifts
from tests.browser.gallery import Gallery
from tests.browser.many import many_images
from tests.running_stack import Stack

IMAGES = 2000
SETTLED_MS = 700
"""After an interaction, until the browser has reported how long it took."""

# Event Timing reports the time from an input to the next frame, in steps of 8 ms, if it is 16 ms or more.
_RECORD = """window.latencies = [];
window.tasks = [];
new PerformanceObserver((list) => {
    for (const { interactionId, duration } of list.getEntries())
        if (interactionId) window.latencies.push(duration);
}).observe({ type: "event", durationThreshold: 16, buffered: true });
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration)))
    .observe({ type: "longtask", buffered: true });"""


@pytest.fixture
def two_thousand(empty: Stack) -> Iterator[Stack]:
    with many_images(empty, IMAGES):
        yield empty


def scroll_through(gallery: Gallery) -> None:
    page = gallery.page
    loaded = 0
    while loaded < IMAGES:
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_function("(loaded) => document.querySelectorAll('.card').length > loaded", arg=loaded)
        loaded = gallery.cards.count()
    page.mouse.move(640, 430)  # the grid, for the wheel
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 2)")
    page.wait_for_timeout(SETTLED_MS)


def card_in_view(page: Page) -> tuple[float, float]:
    """Return the middle of a card that is completely visible, in CSS pixels."""
    x, y = page.evaluate("""() => {
        const boxes = [...document.querySelectorAll(".card .picture")].map((card) => card.getBoundingClientRect());
        const box = boxes.find(({ top, bottom }) => top > 120 && bottom < innerHeight - 120);
        return [box.x + box.width / 2, box.y + box.height / 2];
    }""")
    return x, y


def interactions(page: Page) -> dict[str, Callable[[], None]]:
    """Return what users do, by name, in an order in which each finds the page that it needs."""
    x, y = card_in_view(page)
    press, click = page.keyboard.press, page.mouse.click
    return {
        "start the selection": lambda: page.locator("#select").click(),
        "select one image": lambda: click(x, y),
        "select all": lambda: press("Control+a"),
        "deselect one of all": lambda: click(x, y),
        "end the selection": lambda: press("Escape"),
        "open the viewer": lambda: click(x, y),
        "next image": lambda: press("ArrowRight"),
        "zoom in": lambda: press("+"),
        "close the viewer": lambda: press("Escape"),
        "hide the captions": lambda: page.locator("#captions").click(),
        "show the captions": lambda: page.locator("#captions").click(),
        "type in the search": lambda: page.locator("#search").press_sequentially("four", delay=40),
    }


def measure(page: Page) -> dict[str, dict[str, float]]:
    """Return the longest latency of each interaction and the longest task that it caused, in milliseconds."""
    measured = {}
    for name, interact in interactions(page).items():
        page.evaluate("window.latencies.length = window.tasks.length = 0")
        interact()
        page.wait_for_timeout(SETTLED_MS)
        longest = page.evaluate("[window.latencies, window.tasks].map((all) => Math.max(0, ...all))")
        measured[name] = dict(zip(("latency", "task"), longest, strict=True))
    return measured


@pytest.mark.slow
def test_the_page_responds_and_nothing_moves_with_two_thousand_images(
    page: Page, two_thousand: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    shifts = record_shifts(page)
    page.add_init_script(_RECORD)
    processor = page.context.new_cdp_session(page)
    for slowdown in (1, 4):
        gallery = Gallery(page, str(two_thousand.api.base_url)).open()
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        scroll_through(gallery)
        tasks: list[float] = page.evaluate("window.tasks")
        processor.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})

        measured = measure(page)

        processor.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        with capsys.disabled():
            print(f"\n{IMAGES} images, CPU {slowdown} times slower, first contentful paint after {paint:.0f} ms")
            print(f"{len(tasks)} long tasks while scrolling, the longest {max(tasks, default=0):.0f} ms")
            for name, longest in measured.items():
                print(f"{name}: latency {longest['latency']:.0f} ms, longest task {longest['task']:.0f} ms")
        assert shifts() == []
