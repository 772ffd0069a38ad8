"""Placeholders: what a card shows until its picture is loaded."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests import pictures
from tests.browser.delivery import held_thumbnails, placeholders_in_view
from tests.browser.gallery import Gallery, expect_loaded
from tests.browser.many import Seed
from tests.running_stack import Stack

COLOR = "#7d7777"
Pixel = tuple[int, ...]


def shown(element: Locator) -> Image.Image:
    """Return what the user sees of an element."""
    return Image.open(io.BytesIO(element.screenshot())).convert("RGB")


def saturation(picture: Image.Image, across: float) -> int:
    """Return the saturation (0 to 255) at half the height of a picture."""
    pixel = picture.convert("HSV").getpixel((int(picture.width * across), picture.height // 2))
    assert isinstance(pixel, tuple)
    return int(pixel[1])


@pytest.mark.parametrize("is_transparent", [False, True], ids=["opaque", "transparent"])
def test_a_placeholder_is_drawn_before_the_picture_and_hidden_once_it_is_loaded(
    page: Page, stack: Stack, seed: Seed, is_transparent: bool
) -> None:
    """It would show through a transparent picture, whose transparent half has no color at any time."""
    scene = pictures.see_through(600, 600) if is_transparent else pictures.scene(600, 600)
    seed.show(pictures.encode(scene, "PNG"))

    with held_thumbnails(page) as held:
        card = Gallery(page, str(stack.api.base_url)).open().cards.first
        (difference,) = placeholders_in_view(page)
        assert difference and difference > 100
        before = shown(card.locator(".picture"))
        assert len(held) == 1
    expect_loaded(card.locator("img"))
    expect(card.locator("canvas")).to_be_hidden()

    for picture in (before, shown(card.locator(".picture"))):
        assert saturation(picture, 0.1) > 100
        assert (saturation(picture, 0.9) < 30) == is_transparent


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", [(20, 20, 20), (250, 250, 250)], ids=["dark ink", "white ink"])
def test_ink_on_a_transparent_ground_can_be_read(
    page: Page, stack: Stack, seed: Seed, scheme: Any, ink: Pixel
) -> None:
    page.emulate_media(color_scheme=scheme)
    drawing = Image.new("RGBA", (600, 600), (0, 0, 0, 0))
    drawing.paste((*ink, 255), (150, 150, 450, 450))
    seed.show(pictures.encode(drawing, "PNG"))
    gallery = Gallery(page, str(stack.api.base_url)).open()
    expect_loaded(gallery.cards.first.locator("img"))
    card = shown(gallery.cards.first.locator(".picture"))
    viewer = gallery.open_viewer("picture 000.jpg")
    expect_loaded(viewer.locator(".stage img"))

    for picture in (card, shown(viewer.locator(".stage img"))):
        gray = picture.convert("L")
        ground = [gray.getpixel((x, gray.height // 8)) for x in range(20, gray.width - 20)]
        drawn = gray.getpixel((gray.width // 2, gray.height // 2))
        assert min(abs(drawn - value) for value in ground) > 60


# From thumbHashToRGBA of npm's thumbhash 0.1.1 with a long side of 20 pixels: the pixels at the top left, top
# right, center and bottom right.
@pytest.mark.parametrize(
    ("thumbhash", "size", "pixels"),
    [
        (
            "HggCBYJCQRAjIhFVVpZVVwYw4i9z",
            (20, 14),
            [(127, 118, 118, 255), (124, 121, 118, 255), (120, 125, 118, 255), (125, 119, 118, 255)],
        ),
        (
            "HggCDAIRUEUjEXdXdXUDdcCNCQ==",
            (11, 20),
            [(117, 107, 138, 255), (114, 120, 129, 255), (132, 126, 105, 255), (117, 120, 126, 255)],
        ),
        (
            "HggCDwIyICIjAlNWNoh0Y3ZnVhBT7xQI",
            (20, 20),
            [(117, 107, 139, 255), (122, 114, 127, 255), (124, 130, 109, 255), (119, 120, 123, 255)],
        ),
        (
            "3QcKEYJTQ1B3d4eHCninYGk=",
            (20, 3),
            [(0, 0, 16, 255), (136, 150, 172, 255), (146, 130, 121, 255), (141, 148, 179, 255)],
        ),
        (
            "3ReCA4BGJQAhRFUVEJkcoK93ZZl3d3c=",
            (20, 12),
            [(122, 109, 120, 195), (0, 0, 0, 0), (122, 109, 120, 32), (122, 109, 120, 12)],
        ),
        (
            "HgiCAgIXMjcE018DhPVeGHeHZIeCB0U=",
            (8, 20),
            [(128, 117, 118, 8), (117, 128, 118, 43), (124, 121, 118, 123), (121, 123, 118, 114)],
        ),
    ],
    ids=["landscape", "portrait", "square", "panorama", "transparent landscape", "transparent portrait"],
)
def test_a_decoded_thumbhash_is_that_of_the_reference_implementation(
    gallery: Gallery, thumbhash: str, size: tuple[int, int], pixels: list[Pixel]
) -> None:
    width, height, data = gallery.page.evaluate(
        """async (thumbhash) => {
            const { drawPlaceholder } = await import("/assets/placeholders.js");
            const canvas = document.createElement("canvas");
            drawPlaceholder(canvas, { thumbhash, color: "red" });
            const { width, height } = canvas;
            return [width, height, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
        }""",
        thumbhash,
    )

    assert (width, height) == size
    places = [(0, 0), (width - 1, 0), (width // 2, height // 2), (width - 1, height - 1)]
    for (x, y), expected in zip(places, pixels, strict=True):
        at = 4 * (y * width + x)
        *color, alpha = data[at : at + 4]
        assert alpha == pytest.approx(expected[3], abs=2)
        # A canvas stores colors multiplied by their opacity, so it rounds those of pixels that are hardly visible.
        assert color == pytest.approx(expected[:3], abs=2 + 128 / max(alpha, 1))


@pytest.mark.parametrize("thumbhash", ["no base64!", "", "HggC", "HggCBYJCQRAjIhFVVpZVVwYw"])
def test_a_damaged_thumbhash_leaves_the_average_color(page: Page, stack: Stack, seed: Seed, thumbhash: str) -> None:
    (record,) = seed.show(pictures.jpeg())
    placeholder = {"thumbhash": thumbhash, "color": COLOR}
    seed.put([replace(record, metadata={**(record.metadata or {}), "placeholder": placeholder})])

    with held_thumbnails(page):
        card = Gallery(page, str(stack.api.base_url)).open().cards.first
        picture = shown(card.locator(".picture"))

    red, green, blue = bytes.fromhex(COLOR[1:])
    assert picture.getpixel((picture.width // 2, picture.height // 2)) == (red, green, blue)
    assert placeholders_in_view(page) == [None], "the canvas is empty"
