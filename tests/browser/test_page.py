"""Properties of the page: weight, policy, hostile names, the keyboard, and screen readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from image_core.model import NextModel
from ops.target import local_stack
from tests import pictures
from tests.browser.delivery import record_shifts
from tests.browser.gallery import SECONDS, Gallery, expect_loaded
from tests.browser.many import many_images
from tests.running_stack import Stack

HOSTILE = (
    "<img src=x onerror=alert(1)>.jpg",
    '"><script>alert(1)</script>.jpg',
    "javascript:alert(1).jpg",
    "\u202egpj.exe.jpg",
    "a" * 240 + ".jpg",
    "{{7*7}}${7*7}`.jpg",
    "line\nbreak\ttab.jpg",
)
MOST_BYTES = 60_000


@pytest.fixture
def sixty(empty: Stack) -> Iterator[Stack]:
    with many_images(empty, 60):
        yield empty


@pytest.fixture
def mixed(empty: Stack) -> Iterator[Stack]:
    """Images of different proportions, more than the page loads at first."""
    files = [pictures.jpeg(*sides) for sides in [(300, 200), (200, 300), (240, 240), (1200, 200), (320, 180)]]
    with many_images(empty, 160, files):
        yield empty


@pytest.fixture
def five_hundred(empty: Stack) -> Iterator[Stack]:
    with many_images(empty, 500):
        yield empty


def test_the_page_shows_the_progress_of_the_model_download(page: Page, empty: Stack) -> None:
    records = local_stack(empty.env_file.with_name("stack.json")).connect(workers=1).records
    demo = records.caption_model().name
    assert demo
    records.announce_next_caption_model(NextModel("Salesforce/blip", 42))
    page.goto(str(empty.api.base_url))
    notice = page.locator("#model")
    expect(notice).to_contain_text("Salesforce/blip is being downloaded: 42%")
    expect(notice).not_to_contain_text("make model", use_inner_text=True)
    records.announce_next_caption_model(NextModel("Salesforce/blip", 57))
    expect(notice).to_contain_text("57%")
    records.announce_caption_model(demo)
    expect(notice).to_contain_text("Run make model to install the full caption model", use_inner_text=True)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_light_and_nothing_moves_while_pictures_load(
    page: Page, sixty: Stack, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    page.set_viewport_size({"width": width, "height": 860})
    shifts = record_shifts(page)

    gallery = Gallery(page, str(sixty.api.base_url)).open()
    expect(gallery.cards).to_have_count(60)
    page.mouse.wheel(0, 20_000)
    expect(gallery.cards.last.locator("img")).to_have_js_property("complete", True)
    page.mouse.wheel(0, -20_000)

    measured: dict[str, Any] = page.evaluate(
        """() => {
            const own = performance.getEntriesByType("resource").filter((e) => /assets/.test(e.name));
            const html = performance.getEntriesByType("navigation")[0];
            return {
                gzipped: own.concat(html).reduce((sum, e) => sum + e.encodedBodySize, 0),
                transferred: own.concat(html).reduce((sum, e) => sum + e.transferSize, 0),
                requests: own.length + 1,
                paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
                outside: performance.getEntriesByType("resource").map((e) => new URL(e.name).origin)
                    .filter((origin) => origin !== location.origin).length,
            };
        }"""
    )
    measured["shift"] = shifts()
    with capsys.disabled():
        print(f"\ngallery, {width} pixels wide: {measured}")
    assert measured["gzipped"] < MOST_BYTES
    assert measured["outside"] == 0
    assert measured["shift"] == []


@pytest.mark.slow
def test_five_hundred_images_load_while_scrolling(page: Page, five_hundred: Stack) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    gallery = Gallery(page, str(five_hundred.api.base_url)).open()

    loaded = 0
    while loaded < 500:
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        expect(gallery.cards.nth(loaded)).to_be_attached()
        loaded = gallery.cards.count()

    expect(gallery.cards).to_have_count(500)
    names = page.locator(".card .name").all_text_contents()
    assert names == [f"picture {number:03}.jpg" for number in reversed(range(500))]
    assert len([url for url in asked if "cursor=" in url]) == 10 - 1
    expect_loaded(gallery.cards.last.locator("img"))


def test_rows_are_as_wide_as_the_grid_at_each_width_of_the_window(page: Page, mixed: Stack) -> None:
    """A card whose row is not complete at one width has its place at another, and again at the first."""
    gallery = Gallery(page, str(mixed.api.base_url)).open()
    expect(gallery.cards.nth(60)).to_be_attached()
    for width in [1280, 1180, 1280, 1080, 1280, 980, 1280, 680, 1280, 480, 1280]:
        page.set_viewport_size({"width": width, "height": 860})
        page.wait_for_function(
            """(width) => {
                const rows = new Map();
                for (const card of document.querySelectorAll(".card:not(.unplaced)")) {
                    const box = card.getBoundingClientRect();
                    rows.set(box.top, [...(rows.get(box.top) ?? []), box]);
                }
                const { left, right } = document.getElementById("grid").getBoundingClientRect();
                return innerWidth === width && [...rows.values()].every((row) =>
                    Math.abs(row[0].left - left) < 1 && Math.abs(row.at(-1).right - right) < 1);
            }""",
            arg=width,
            timeout=5 * SECONDS,
        )


@pytest.mark.parametrize("width", [320, 390, 768, 820, 1280])
def test_the_page_never_scrolls_sideways(gallery: Gallery, width: int) -> None:
    gallery.page.set_viewport_size({"width": width, "height": 860})
    page = "document.documentElement"
    assert gallery.page.evaluate(f"{page}.scrollWidth <= {page}.clientWidth")


def test_names_that_look_like_code_are_shown_as_text(gallery: Gallery, stack: Stack) -> None:
    dialogs: list[str] = []
    gallery.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    exif = pictures.exif(main={0x10F: "<script>alert(2)</script>", 0x13B: "<b onmouseover=alert(3)>x</b>"})
    for name in HOSTILE:
        image_id = stack.upload(pictures.jpeg(60, 40, exif=exif), name)
        stack.finished(image_id)
        stack.api.patch(f"/api/images/{image_id}", json={"alt_text": name, "tags": ["<i>tag</i>"]})

    expect(gallery.cards).to_have_count(len(HOSTILE))

    width = gallery.page.evaluate("document.documentElement.scrollWidth")
    assert width <= gallery.page.viewport_size["width"]  # type: ignore[index]
    assert gallery.page.locator("main script, main b[onmouseover], main i, .grid img[onerror]").count() == 0
    for card in range(len(HOSTILE)):
        gallery.cards.nth(card).locator(".open").click()
        viewer = gallery.page.locator("#viewer")
        viewer.locator(".exif summary").click()
        expect(viewer.locator(".exif")).to_contain_text("<script>alert(2)</script>")
        assert viewer.locator("script, b, i").count() == 0
        gallery.page.keyboard.press("Escape")
    assert dialogs == []


def test_the_policy_blocks_foreign_scripts(page: Page, empty: Stack) -> None:
    response = page.goto(str(empty.api.base_url))
    assert response is not None
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self' {empty.s3.meta.endpoint_url}"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_everything_can_be_done_with_the_keyboard(gallery: Gallery, stack: Stack) -> None:
    stack.finished(stack.upload(pictures.jpeg(90, 60), "older.jpg"))
    stack.finished(stack.upload(pictures.jpeg(90, 60), "newer.jpg"))
    expect(gallery.cards).to_have_count(2)
    page = gallery.page
    # Playwright starts to intercept file dialogs at the first listener, with a delay. So add a listener early.
    page.on("filechooser", lambda _: None)

    def tab_to(selector: str) -> None:
        for _ in range(40):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"{selector} cannot be reached with the keyboard")

    tab_to("#pick")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    tab_to(".card .open")
    page.keyboard.press("Enter")
    heading = page.locator("#viewer h2")
    expect(heading).to_have_text("newer.jpg")
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text("older.jpg")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(gallery.card("older.jpg").locator(".open")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_state(
    browser: Browser, empty: Stack, scheme: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    gallery = Gallery(context.new_page(), str(empty.api.base_url)).open()
    found = {"empty": gallery.findings()}
    gallery.page.route(
        re.compile("^(?!.*/api/)"),
        lambda route: route.abort() if route.request.method == "PUT" else route.continue_(),
    )
    gallery.upload({"name": "stuck.jpg", "mimeType": "image/jpeg", "buffer": pictures.jpeg()})
    expect(gallery.page.locator("#uploads")).to_be_visible()
    found["uploading"] = gallery.findings()
    good = empty.upload(pictures.jpeg(900, 600), "good.jpg")
    empty.api.patch(f"/api/images/{good}", json={"tags": ["Paris, France", "stone"]})
    empty.upload(pictures.jpeg(900, 600)[:3000], "cut.jpg")
    gallery.finished("good.jpg")
    gallery.finished("cut.jpg", "failed")
    found["full and failed"] = gallery.findings()
    gallery.open_viewer("good.jpg")
    expect(gallery.page.locator(".tags .chip")).to_have_count(2)
    found["viewer"] = gallery.findings()
    gallery.page.get_by_label("Title").fill("Mine")
    empty.api.patch(f"/api/images/{good}", json={"title": "Theirs", "tags": ["stone"], "alt_text": ""})
    gallery.page.get_by_role("button", name="Save").click()
    expect(gallery.page.get_by_role("alert")).to_be_visible()
    found["conflict"] = gallery.findings()
    gallery.page.get_by_role("button", name="Use theirs").click()
    gallery.page.locator("#viewer").get_by_role("button", name="Delete").click()
    expect(gallery.page.locator(".toast")).to_be_visible()
    found["undo"] = gallery.findings()
    gallery.page.locator(".toast").get_by_role("button").click()
    gallery.page.keyboard.press("Escape")
    gallery.page.set_viewport_size({"width": 390, "height": 844})
    found["phone"] = gallery.findings()
    gallery.open_viewer("cut.jpg")
    found["failed, phone"] = gallery.findings()
    gallery.page.route("**/api/**", lambda route: route.fulfill(status=401, json={"error": {"code": "x"}}))
    gallery.page.keyboard.press("Escape")
    expect(gallery.page.locator("#key-dialog")).to_be_visible()
    found["key"] = gallery.findings()
    context.close()
    with capsys.disabled():
        counts = {state: len(findings) for state, findings in found.items()}
        print(f"\naxe, {scheme}, serious or critical: {counts}")

    assert not any(found.values()), found
