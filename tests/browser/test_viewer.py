"""The viewer: zoom and pan by every means, neighbors, links, and what people look for first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests import pictures
from tests.browser.gallery import Gallery, expect_loaded
from tests.browser.many import METADATA, Seed, finished
from tests.running_stack import Stack

Box = dict[str, float]


@pytest.fixture
def viewer(page: Page, stack: Stack, gallery: Gallery) -> Locator:
    """The viewer of a picture of 3,000 × 2,000 pixels, which is larger than its largest rendition."""
    stack.finished(stack.upload(pictures.jpeg(3000, 2000), "big.jpg"))
    gallery.finished("big.jpg")
    viewer = gallery.open_viewer("big.jpg")
    expect_loaded(viewer.locator(".stage img"))
    return viewer


def box(locator: Locator) -> Box:
    found = locator.bounding_box()
    assert found
    return dict(found)


def center(of: Box) -> tuple[float, float]:
    return of["x"] + of["width"] / 2, of["y"] + of["height"] / 2


def wheel(page: Page, stage: Box) -> None:
    page.mouse.move(*center(stage))
    page.mouse.wheel(0, -700)


def double_click(page: Page, stage: Box) -> None:
    page.mouse.dblclick(*center(stage))


def press_plus(page: Page, stage: Box) -> None:
    page.keyboard.press("+")
    page.keyboard.press("+")


def pinch(page: Page, stage: Box) -> None:
    """Move two fingers apart."""
    session = page.context.new_cdp_session(page)
    x, y = center(stage)

    def touch(kind: str, distance: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x - distance, "y": y}, {"x": x + distance, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for distance in range(50, 130, 10):
        touch("touchMove", distance)
    touch("touchEnd", 0)


@pytest.mark.parametrize("zoom", [wheel, double_click, press_plus, pinch])
def test_a_picture_is_zoomed_moved_and_fitted_again(
    page: Page, viewer: Locator, zoom: Callable[[Page, Box], None]
) -> None:
    stage, picture = box(viewer.locator(".stage")), viewer.locator(".stage img")
    fitted = box(picture)
    assert fitted["width"] <= stage["width"] + 1
    assert fitted["height"] <= stage["height"] + 1

    zoom(page, stage)

    zoomed = box(picture)
    assert zoomed["width"] > 1.5 * fitted["width"]
    assert center(zoomed) == pytest.approx(center(stage), abs=3), "the point that was zoomed at stays"
    expect(picture).to_have_js_property("naturalWidth", 3000)  # the original: the rendition would be blurred
    page.mouse.move(*center(stage))
    page.mouse.down()
    page.mouse.move(center(stage)[0] - 100, center(stage)[1] - 50, steps=4)
    page.mouse.up()
    moved = box(picture)
    assert (moved["x"], moved["y"]) == pytest.approx((zoomed["x"] - 100, zoomed["y"] - 50), abs=1)
    viewer.get_by_role("button", name="Fit").click()
    assert box(picture) == fitted


def test_at_100_percent_a_pixel_of_the_picture_is_one_of_the_screen(page: Page, viewer: Locator) -> None:
    viewer.get_by_role("button", name="100%").click()
    assert box(viewer.locator(".stage img"))["width"] == 3000
    expect(viewer.locator(".percent")).to_have_text("100%")


def test_after_a_deletion_the_viewer_shows_the_next_image_and_undo_shows_the_deleted_one(
    page: Page, stack: Stack, seed: Seed
) -> None:
    seed.show(*(pictures.jpeg(900, 600 + number) for number in range(3)))
    viewer = Gallery(page, str(stack.api.base_url)).open().open_viewer("picture 001.jpg")
    name, delete = viewer.get_by_role("heading").first, viewer.get_by_role("button", name="Delete")

    delete.click()
    expect(name).to_have_text("picture 000.jpg")
    page.get_by_role("button", name="Undo").click()
    expect(name).to_have_text("picture 001.jpg")

    page.keyboard.press("ArrowRight")
    expect(name).to_have_text("picture 000.jpg")
    delete.click()
    expect(name).to_have_text("picture 001.jpg")  # the last one has none after it
    expect(viewer.locator(".next")).to_be_disabled()


def test_the_neighbors_are_loaded_before_they_are_shown(page: Page, stack: Stack, seed: Seed) -> None:
    seed.show(*(pictures.jpeg(1400 + number, 900) for number in range(3)))
    loaded: list[str] = []
    page.on("requestfinished", lambda request: loaded.append(request.url))
    gallery = Gallery(page, str(stack.api.base_url)).open()
    gallery.open_viewer("picture 001.jpg")
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').filter((e) => /large/.test(e.name)).length === 3"
    )
    before = len(loaded)

    page.keyboard.press("ArrowRight")

    expect(page.locator("#viewer h2")).to_have_text("picture 000.jpg")
    expect_loaded(page.locator("#viewer .stage img"))
    assert not [url for url in loaded[before:] if "/thumbnails/" in url]


def test_the_link_of_the_open_image_can_be_copied(page: Page, context: BrowserContext, viewer: Locator) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    viewer.get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_have_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert "#img_" in link


def test_the_original_opens_in_another_tab(context: BrowserContext, viewer: Locator) -> None:
    with context.expect_page() as opened:
        viewer.get_by_role("button", name="Open original").click()
    opened.value.wait_for_url(re.compile("^blob:"))
    expect(opened.value.locator("img")).to_have_js_property("naturalWidth", 3000)


def test_date_camera_and_exposure_come_first_and_internals_last(page: Page, stack: Stack, seed: Seed) -> None:
    exif = {
        "DateTimeOriginal": "2026-07-01T10:20:30.500",
        "Make": "Canon",
        "Model": "Canon EOS R6",
        "LensModel": "RF24-105mm F4 L IS USM",
        "ExposureTime": 0.004,
        "FNumber": 2.8,
        "PhotographicSensitivity": 100,
        "FocalLength": 35.0,
    }
    seed.put([finished(0, seed.thumbnails, METADATA | {"exif": exif})])
    viewer = Gallery(page, str(stack.api.base_url)).open().open_viewer("picture 000.jpg")
    facts = viewer.locator(".about > .metadata")
    expect(facts.locator("dt")).to_have_text(["Taken", "Camera", "Lens", "Exposure", "Picture", "File", "Added"])
    expect(facts.locator("dd").nth(0)).to_have_text("July 1, 2026, 10:20")
    expect(facts.locator("dd").nth(1)).to_have_text("Canon EOS R6")
    expect(facts.locator("dd").nth(3)).to_have_text("1/250 s · ƒ/2.8 · ISO 100 · 35 mm")
    expect(viewer.locator(".file dt").last).to_be_hidden()
    viewer.locator(".file summary").click()
    expect(viewer.locator(".file dt").last).to_have_text("ID")


def test_a_tag_lists_all_images_with_it_and_its_chip_removes_it(page: Page, stack: Stack, seed: Seed) -> None:
    records = [finished(index, seed.thumbnails) for index in range(3)]
    seed.put([replace(record, tags=("New York",)) for record in records[:2]] + records[2:])
    gallery = Gallery(page, str(stack.api.base_url)).open()
    gallery.open_viewer("picture 000.jpg").get_by_role("button", name="New York", exact=True).click()
    expect(gallery.cards).to_have_count(2)
    expect(page.locator("#search")).to_have_value('tag:"New York"')

    page.get_by_role("button", name="Remove the tag New York from the search").click()

    expect(gallery.cards).to_have_count(3)
    expect(page.locator("#tag-chips button")).to_have_count(0)


def test_the_caption_becomes_the_alt_text_with_one_click(page: Page, stack: Stack, seed: Seed) -> None:
    record = replace(finished(0, seed.thumbnails), caption_confidence=0.81, caption_flags=("too_short",))
    seed.put([record])
    viewer = Gallery(page, str(stack.api.base_url)).open().open_viewer("picture 000.jpg")
    expect(viewer.locator(".model")).to_contain_text("seeded · 81% confident · very short")

    viewer.get_by_role("button", name="Use as alt text").click()

    expect(viewer.get_by_label("Alt text")).to_have_value("four fields of color")
    data: Any = stack.image(record.image_id)["data"]
    assert (data["alt_text"], data["alt_text_source"]) == ("four fields of color", "caption")
    expect(viewer.get_by_role("button", name="Use as alt text")).to_be_hidden()


def test_a_link_to_a_deleted_image_says_so(page: Page, stack: Stack, empty: Stack) -> None:
    Gallery(page, str(stack.api.base_url)).open("#img_01kb5q3v8n0h2m4x6c8f0a2d4g")
    expect(page.locator(".toast")).to_contain_text("There is no image at this link. It was deleted")
    assert page.evaluate("location.hash") == ""


def test_a_phone_on_its_side_shows_the_picture_beside_its_texts(page: Page, viewer: Locator) -> None:
    page.set_viewport_size({"width": 844, "height": 390})
    stage = viewer.locator(".stage").bounding_box()
    about = viewer.locator(".about").bounding_box()
    assert stage
    assert about
    assert stage["height"] > 300
    assert about["x"] >= stage["x"] + stage["width"]
