"""Metadata: the same facts from every format."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from image_processor.picture.decode import decode
from image_processor.picture.metadata import extract, profile_name
from tests import exif_blocks, pictures
from tests.unit.processor.test_exif import CAMERA

SHA256 = "0" * 64


def metadata(data: bytes) -> dict[str, Any]:
    decoded = decode(data, max_pixels=10_000_000, long_enough_for=300)
    return extract(decoded, size_bytes=len(data), sha256=SHA256)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_metadata_reads_the_same_from_every_format_that_carries_exif(kind: str) -> None:
    data = pictures.encode(pictures.scene(80, 120), kind, exif=CAMERA)

    result = metadata(data)

    gps = result.pop("gps")
    exif = result.pop("exif")
    assert result == {
        "width": 120,
        "height": 80,
        "format": kind.lower(),
        "size_bytes": len(data),
        "sha256": SHA256,
        "color_mode": "rgb",
        "bit_depth": 8,
        "has_alpha": False,
        "frames": 1,
        "icc_profile": None,
        "dpi": None,
    }
    assert exif == {
        "Make": "Acme",
        "Model": "Snap 3",
        "DateTime": "2024-07-01T10:20:30",
        "Orientation": 6,
        "ExposureTime": 0.008,
        "PhotographicSensitivity": 200,
    }
    assert gps == {"latitude": 52.51, "longitude": 13.37}


def test_an_image_without_exif_has_empty_exif_and_no_position() -> None:
    result = metadata(pictures.png())

    assert result["exif"] == {}
    assert "gps" not in result


def test_an_mpo_is_reported_as_jpeg() -> None:
    assert metadata(pictures.mpo())["format"] == "jpeg"


@pytest.mark.parametrize(
    ("data", "mode", "depth", "alpha"),
    [
        (pictures.jpeg(), "rgb", 8, False),
        (pictures.jpeg(mode="L"), "grayscale", 8, False),
        (pictures.jpeg(mode="CMYK"), "cmyk", 8, False),
        (pictures.png(mode="1"), "bilevel", 1, False),
        (pictures.png(mode="LA"), "grayscale", 8, True),
        (pictures.png(mode="RGBA"), "rgb", 8, True),
        (pictures.grey16_png(), "grayscale", 16, False),
        (pictures.palette_png(), "palette", 2, False),
        (pictures.palette_png(transparency=b"\xff\x00"), "palette", 2, True),
        (pictures.raw_png(4, 1, depth=4, colour=0, rows=b"\x50\x00"), "grayscale", 4, False),
        (pictures.raw_png(1, 1, depth=16, colour=2, rows=bytes(6)), "rgb", 16, False),
        (pictures.float_tiff(0, 1), "grayscale", 32, False),
        (pictures.encode(pictures.scene(mode="LAB"), "TIFF"), "lab", 8, False),
        (pictures.encode(pictures.scene(), "GIF"), "palette", 2, False),
        (pictures.encode(pictures.scene(), "BMP"), "rgb", 8, False),
        (pictures.encode(pictures.scene(), "WEBP"), "rgb", 8, False),
        (pictures.encode(pictures.see_through(), "WEBP"), "rgb", 8, True),
        (pictures.encode(pictures.see_through(), "AVIF"), "rgb", 8, True),
    ],
)
def test_color_mode_bit_depth_and_alpha_are_those_of_the_file(
    data: bytes, mode: str, depth: int, alpha: bool
) -> None:
    result = metadata(data)

    assert (result["color_mode"], result["bit_depth"], result["has_alpha"]) == (mode, depth, alpha)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_frames_of_an_animation_are_counted(kind: str) -> None:
    assert metadata(pictures.animated(kind))["frames"] == 3


def test_the_pages_of_a_tiff_are_counted() -> None:
    assert metadata(pictures.animated("TIFF"))["frames"] == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_colour_profile_is_named_as_it_names_itself(kind: str) -> None:
    data = pictures.encode(pictures.scene(), kind, icc_profile=pictures.swapped_profile())

    assert metadata(data)["icc_profile"] == "swap built-in"


@pytest.mark.parametrize("profile", [b"", b"not a profile", pictures.swapped_profile()[:200], bytes(1000)])
def test_a_broken_colour_profile_has_no_name(profile: bytes) -> None:
    assert profile_name(profile) is None


def test_the_name_of_a_profile_is_bounded_and_clean() -> None:
    name = "swap built-in".encode("utf-16-be")
    profile = pictures.swapped_profile()
    assert name in profile

    assert profile_name(profile.replace(name, "swap\0\x07uilt-in".encode("utf-16-be"))) in ("swap", "swap  uilt-in")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_the_resolution_is_in_pixels_per_inch(kind: str) -> None:
    data = pictures.encode(pictures.scene(), kind, dpi=(300, 150))

    assert metadata(data)["dpi"] == pytest.approx([300, 150], abs=0.02)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({Base.XResolution: 300.0, Base.YResolution: 150.0, Base.ResolutionUnit: 2}, [300, 150]),
        ({Base.XResolution: 300.0, Base.YResolution: 150.0}, [300, 150]),
        ({Base.XResolution: 100.0, Base.YResolution: 100.0, Base.ResolutionUnit: 3}, [254, 254]),
        ({Base.XResolution: 300.0, Base.YResolution: 150.0, Base.ResolutionUnit: 1}, None),
        ({Base.XResolution: 300.0}, None),
        ({Base.XResolution: 0.0, Base.YResolution: 72.0}, None),
        ({Base.XResolution: 4e9, Base.YResolution: 72.0}, None),
    ],
)
def test_the_resolution_is_that_of_the_exif_where_the_header_has_none(
    kind: str, tags: dict[int, Any], shown: list[float] | None
) -> None:
    assert metadata(pictures.encode(pictures.scene(), kind, exif=pictures.exif(main=tags)))["dpi"] == shown


def test_a_resolution_in_several_units_at_once_is_none() -> None:
    block = exif_blocks.block(
        [
            exif_blocks.rationals(Base.XResolution, (300, 1)),
            exif_blocks.rationals(Base.YResolution, (300, 1)),
            exif_blocks.shorts(Base.ResolutionUnit, 2, 3),
        ]
    )

    assert metadata(pictures.png(exif=block))["dpi"] is None


def test_a_file_without_a_resolution_has_none() -> None:
    assert metadata(pictures.png())["dpi"] is None


def test_metadata_is_plain_json_whatever_the_picture() -> None:
    deep = Image.fromarray(np.array([[np.nan, np.inf, -1e38]], np.float32))

    for data in (pictures.encode(deep, "TIFF"), pictures.jpeg(exif=CAMERA, icc_profile=pictures.swapped_profile())):
        json.dumps(metadata(data), allow_nan=False)
