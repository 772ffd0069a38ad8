"""Which rendition the page loads, and the space that it reserves for it."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests import pictures
from tests.browser.delivery import held_thumbnails
from tests.browser.gallery import Gallery, expect_loaded
from tests.browser.many import Seed
from tests.running_stack import Stack

LANDSCAPE, PORTRAIT, PANORAMA = (1800, 1200), (1200, 1800), (20_000, 700)


def loaded_rendition(page: Page, stack: Stack) -> str:
    """Open the gallery, and return the name of the rendition that its first card loads."""
    picture = Gallery(page, str(stack.api.base_url)).open().cards.first.locator("img")
    expect_loaded(picture)
    match = re.search(r"/thumbnails/(\w+)\?v=[0-9a-f]{16}$", picture.evaluate("(img) => img.currentSrc"))
    assert match
    return match[1]


@pytest.mark.parametrize(
    ("width", "pixel_ratio", "rendition"),
    [
        (320, 1, "small"),
        (320, 2, "medium"),
        (320, 3, "large"),
        (1280, 1, "medium"),
        (1280, 2, "large"),
        (1280, 3, "large"),
    ],
)
def test_a_card_loads_the_smallest_rendition_that_is_sharp_on_this_screen(
    browser: Browser, stack: Stack, seed: Seed, width: int, pixel_ratio: int, rendition: str
) -> None:
    """A card is 137 pixels wide in a window of 320, 230 in one of 1280. Renditions are 100, 200 and 853 high."""
    seed.show(pictures.jpeg(*LANDSCAPE))
    context = browser.new_context(viewport={"width": width, "height": 860}, device_scale_factor=pixel_ratio)
    assert loaded_rendition(context.new_page(), stack) == rendition
    context.close()


def test_a_user_who_saves_data_gets_the_rendition_of_a_simple_screen(
    browser: Browser, stack: Stack, seed: Seed
) -> None:
    seed.show(pictures.jpeg(*LANDSCAPE))
    context = browser.new_context(viewport={"width": 1280, "height": 860}, device_scale_factor=3)
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setDataSaverOverride", {"dataSaverEnabled": True})
    assert loaded_rendition(page, stack) == "medium"
    context.close()


def test_a_panorama_fills_its_card(page: Page, stack: Stack, seed: Seed) -> None:
    """It loads `large`, because the others are stripes of 10 pixels and less."""
    seed.show(pictures.jpeg(*PANORAMA))
    assert loaded_rendition(page, stack) == "large"

    card = page.locator(".card .picture")
    picture = card.locator("img")
    assert picture.evaluate("(img) => [img.naturalWidth, img.naturalHeight]") == [5120, 179]
    assert picture.bounding_box() == card.bounding_box()
    seen = Image.open(io.BytesIO(card.screenshot()))
    assert pictures.same_scene(seen, tolerance=30)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("sides", [LANDSCAPE, PORTRAIT, PANORAMA], ids=["landscape", "portrait", "panorama"])
def test_the_viewer_reserves_the_box_of_the_picture(
    page: Page, stack: Stack, seed: Seed, sides: tuple[int, int], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 860})
    seed.show(pictures.jpeg(*sides))
    gallery = Gallery(page, str(stack.api.base_url)).open()
    expect(gallery.cards).to_have_count(1)
    with held_thumbnails(page):
        viewer = gallery.open_viewer("picture 000.jpg")
        picture, placeholder = viewer.locator(".stage img"), viewer.locator(".stage canvas")
        expect(viewer.locator(".about > .metadata")).to_contain_text("pixels")
        reserved = picture.bounding_box()
        assert placeholder.bounding_box() == reserved
        caption = viewer.locator(".caption").bounding_box()

    expect_loaded(picture)
    expect(placeholder).to_be_hidden()
    assert reserved
    assert picture.bounding_box() == reserved
    assert viewer.locator(".caption").bounding_box() == caption
    assert reserved["width"] / reserved["height"] == pytest.approx(sides[0] / sides[1], rel=0.01)


@pytest.mark.parametrize("sides", [PANORAMA, PANORAMA[::-1]], ids=["panorama", "column"])
def test_a_long_picture_fills_half_of_the_stage_and_moves_with_the_arrow_keys(
    page: Page, stack: Stack, seed: Seed, sides: tuple[int, int]
) -> None:
    """As a whole it would be a stripe of 30 pixels."""
    seed.show(pictures.jpeg(90, 60), pictures.jpeg(*sides), pictures.jpeg(60, 90))
    viewer = Gallery(page, str(stack.api.base_url)).open().open_viewer("picture 001.jpg")
    picture = viewer.locator(".stage img")
    expect_loaded(picture)

    box, room = picture.bounding_box(), viewer.locator(".stage").bounding_box()
    assert box and room
    assert (box["x"], box["y"]) >= (room["x"], room["y"])
    if sides == PANORAMA:
        assert box["height"] == pytest.approx(room["height"] / 2, abs=1)
    else:
        assert box["width"] == pytest.approx(room["width"] / 2, abs=1)
    page.keyboard.press("ArrowRight" if sides == PANORAMA else "ArrowDown")
    moved = picture.bounding_box()
    assert moved
    assert moved["x"] + moved["y"] < box["x"] + box["y"] - 100
    expect(viewer.locator("h2")).to_have_text("picture 001.jpg")
    page.keyboard.press("0")
    whole = picture.bounding_box()
    assert whole
    assert (whole["width"], whole["height"]) <= (room["width"] + 1, room["height"] + 1)
    page.keyboard.press("ArrowRight")
    expect(viewer.locator("h2")).to_have_text("picture 000.jpg")
    assert Gallery(page, "").findings() == []


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (pictures.jpeg(), "Show the original"),
        (pictures.animated("GIF"), "Play the original"),
        (pictures.animated("WEBP"), "Play the original"),
        (pictures.encode(pictures.scene(900, 900), "TIFF"), None),
        (pictures.heic(), None),
    ],
    ids=["JPEG", "animated GIF", "animated WebP", "TIFF", "HEIC"],
)
def test_the_original_is_offered_if_browsers_can_show_it(
    page: Page, stack: Stack, seed: Seed, body: bytes, label: str | None
) -> None:
    seed.show(body)
    gallery = Gallery(page, str(stack.api.base_url)).open()
    viewer = gallery.open_viewer("picture 000.jpg")
    expect_loaded(viewer.locator(".stage img"))

    original = viewer.locator(".original")
    if label:
        expect(original).to_have_text(re.compile(rf"^{label} \([\d.]+ (bytes|KB)\)$"))
        expect(original).to_be_visible()
    else:
        expect(original).to_be_hidden()
