"""The clean aperture of an AVIF: only the part of the coded picture that is to be shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from image_core.renditions import Rendition
from image_processor.picture.decode import decode
from image_processor.picture.decoded import Decoded
from image_processor.picture.formats import clean_aperture
from image_processor.picture.thumbnails import render
from tests import heif_files, pictures

WHITE = (255, 255, 255)


def avif_showing(
    picture: Image.Image, *properties: bytes, margins: tuple[int, int, int, int] = (30, 20, 10, 40), **aperture: int
) -> bytes:
    """Build an AVIF of `picture` within white margins (left, top, right, bottom) that are cropped away."""
    left, top, right, bottom = margins
    width, height = picture.size
    canvas = Image.new("RGB", (left + width + right, top + height + bottom), WHITE)
    canvas.paste(picture, (left, top))
    # Twice the offset of the center. The denominators are 2.
    offsets = {"right": left - right, "below": top - bottom}
    clap = heif_files.clap(width, height, **(offsets | aperture))
    item = heif_files.coded_in_av1(canvas).item(*canvas.size)
    return heif_files.heif(replace(item, properties=(*item.properties, clap, *properties)))


def decoded(data: bytes) -> Decoded:
    return decode(data, max_pixels=10_000_000, largest_side=300)


def upright(result: Decoded) -> Image.Image:
    return result.resized((result.width, result.height), Image.Resampling.NEAREST)


def test_an_avif_is_cropped_to_its_clean_aperture() -> None:
    result = decoded(avif_showing(pictures.scene()))

    assert (result.width, result.height) == (120, 80)
    assert pictures.same_scene(upright(result))
    assert np.asarray(upright(result)).min(axis=2).max() < 200, "no margin is left"


@pytest.mark.parametrize(
    ("orientation", "properties"),
    [
        (8, [heif_files.box(b"irot", b"\1")]),
        (2, [heif_files.box(b"imir", b"\1")]),
        (5, [heif_files.box(b"irot", b"\1"), heif_files.box(b"imir", b"\0")]),
    ],
)
def test_an_avif_is_cropped_before_it_is_rotated_and_mirrored(orientation: int, properties: list[bytes]) -> None:
    result = decoded(avif_showing(pictures.stored(pictures.scene(), orientation), *properties))

    assert (result.width, result.height) == (120, 80)
    assert pictures.same_scene(upright(result))


def test_nothing_outside_of_the_clean_aperture_gets_into_the_edges_of_a_reduced_picture() -> None:
    result = decoded(avif_showing(Image.new("RGB", (1601, 1603), "black"), margins=(51, 33, 17, 5)))

    assert (result.width, result.height) == (1601, 1603)
    assert result.stored.width < 1601, "otherwise it would not be reduced"
    assert max(high for _, high in upright(result).getextrema()) < 12  # type: ignore[misc]
    assert render(result, {"small": Rendition(150)})["small"].width == 150


@pytest.mark.parametrize(
    "aperture",
    [{"width_unit": 0}, {"offset_unit": 0}, {"right": 200}, {"below": -2_000_000_000}, {"width_unit": 2**32 - 1}],
    ids=["zero", "zero in an offset", "beyond the right edge", "far beyond the top", "empty"],
)
def test_an_invalid_clean_aperture_is_ignored(aperture: dict[str, int]) -> None:
    result = decoded(avif_showing(pictures.scene(), **aperture))

    assert (result.width, result.height) == (160, 140)


@pytest.mark.parametrize("length", range(32))
def test_an_incomplete_clean_aperture_is_ignored(length: int) -> None:
    payload = heif_files.clap(10, 10)[8:]

    assert clean_aperture.box(payload, (20, 20)) == (5, 5, 15, 15)
    assert clean_aperture.box(payload[:length], (20, 20)) is None


def test_a_clean_aperture_of_another_picture_in_the_file_is_ignored() -> None:
    shown = heif_files.coded_in_av1(pictures.scene()).item(120, 80)
    other = heif_files.av1(64, 64).item(64, 64)
    other = replace(other, properties=(*other.properties, heif_files.clap(10, 10)))

    assert decoded(heif_files.heif(shown, other)).width == 120
