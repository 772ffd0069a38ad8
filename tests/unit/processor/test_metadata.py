"""Metadata: every format returns the same facts."""

from __future__ import annotations

import json
import struct
import textwrap
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo

from image_core.renditions import Rendition
from image_processor.picture.decode import decode
from image_processor.picture.metadata import extract, profile_name
from image_processor.picture.thumbnails import render
from tests import exif_blocks, heif_files, pictures
from tests.exif_blocks import ASCII, BYTE, DOUBLE, LONG, RATIONAL, SHORT, UNDEFINED, UTF_8, rationals, shorts, text
from tests.unit.processor.test_exif import CAMERA

SHA256 = "0" * 64


def metadata(data: bytes) -> dict[str, Any]:
    decoded = decode(data, max_pixels=10_000_000, largest_side=300)
    return extract(decoded, size_bytes=len(data), sha256=SHA256)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_metadata_is_the_same_from_every_format_with_exif(kind: str) -> None:
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
        "ExposureTime": 0.008,
        "PhotographicSensitivity": 200,
    } | ({"Orientation": 6} if kind != "AVIF" else {})  # Pillow moves it to AVIF's boxes
    assert gps == {"latitude": 52.51, "longitude": 13.37}


def test_a_tiff_returns_every_tag_that_other_formats_return() -> None:
    camera = [rationals(0x829A, (1, 250)), text(0xA436, "写真".encode(), UTF_8)]
    gps = [text(1, b"N\0"), rationals(2, (52, 1)), text(3, b"E\0"), rationals(4, (13, 1))]
    main = [
        text(0x010D, b"Contract\0"),
        text(0x010E, "Zoë, 写真".encode()),
        text(0x010F, b"Acme\0"),
        text(0x011D, b"Front\0"),
        text(0x013C, b"studio-7\0"),
        shorts(0x4746, 4),
        text(0x9C9B, "Zoë\0".encode("utf-16-le"), BYTE),
        text(0x9C9E, "a;b\0".encode("utf-16-le"), BYTE),
    ]

    result = metadata(exif_blocks.tiff(main, camera, gps))

    assert result["exif"] == {
        "DocumentName": "Contract",
        "ImageDescription": "Zoë, 写真",
        "Make": "Acme",
        "PageName": "Front",
        "HostComputer": "studio-7",
        "Rating": 4,
        "XPTitle": "Zoë",
        "XPKeywords": "a;b",
        "ExposureTime": 0.004,
        "ImageTitle": "写真",
    }
    assert result["gps"] == {"latitude": 52.0, "longitude": 13.0}


def test_camera_tags_in_the_main_directory_of_a_tiff_are_returned_unless_the_exif_directory_has_them() -> None:
    main = [rationals(0x829A, (1, 250)), shorts(0x8827, 200), text(0x9003, b"2024:07:01 10:20:30\0")]
    returned = {"ExposureTime": 0.004, "PhotographicSensitivity": 200, "DateTimeOriginal": "2024-07-01T10:20:30"}

    assert metadata(exif_blocks.tiff(main))["exif"] == returned
    assert metadata(exif_blocks.tiff(main, [shorts(0x8827, 400)]))["exif"] == returned | {
        "PhotographicSensitivity": 400
    }


@pytest.mark.parametrize(
    "odd",
    [
        (0x0131, DOUBLE, 1, struct.pack("<d", 1.5)),
        rationals(0x0131, (3, 2)),
        (0x0131, 200, 1, b"\0\0\0\0"),
        (0x0131, ASCII, 0xFFFFFFFF, 8),
        text(0x0131, b"\xff\xfe\xfd", UNDEFINED),
    ],
    ids=["double", "rational", "unknown type", "beyond the end", "binary"],
)
def test_one_invalid_value_in_a_tiff_affects_no_other_tag(odd: exif_blocks.Entry) -> None:
    returned = metadata(exif_blocks.tiff([text(0x010F, b"Acme\0"), odd, text(0x013C, b"studio-7\0")]))["exif"]

    assert (returned["Make"], returned["HostComputer"]) == ("Acme", "studio-7")


def test_the_tags_of_a_bigtiff_are_returned() -> None:
    data = exif_blocks.tiff([text(0x010D, b"Contract of many pages\0")], [rationals(0x829A, (1, 250))], big=True)

    assert metadata(data)["exif"] == {"DocumentName": "Contract of many pages", "ExposureTime": 0.004}


ORIENTATIONS: dict[str, exif_blocks.Entry] = {
    "SHORT": (0x0112, SHORT, 1, b"\6\0"),
    "BYTE": (0x0112, BYTE, 1, b"\6"),
    "UNDEFINED": (0x0112, UNDEFINED, 1, b"\6"),
    "LONG": (0x0112, LONG, 1, b"\6\0\0\0"),
    "two SHORTs": (0x0112, SHORT, 2, b"\6\0\6\0"),
    "signed": (0x0112, 8, 1, b"\6\0"),
    "RATIONAL": (0x0112, RATIONAL, 1, struct.pack("<2I", 6, 1)),
    "three SHORTs": (0x0112, SHORT, 3, b"\6\0\1\0\1\0"),
}
NOT_ORIENTATIONS: dict[str, exif_blocks.Entry] = {
    "text": (0x0112, ASCII, 1, b"6"),
    "0": (0x0112, SHORT, 1, b"\0\0"),
    "9": (0x0112, SHORT, 1, b"\t\0"),
    "a fraction": (0x0112, RATIONAL, 1, struct.pack("<2I", 13, 2)),
    "outside the file": (0x0112, SHORT, 3, 0x0FFFFFFF),
}


def carrying(kind: str, entry: exif_blocks.Entry, orientation: int, *, big: bool = False) -> bytes:
    """Build a file of the scene with one tag, stored so that `orientation` makes it upright."""
    if kind == "TIFF":
        return exif_blocks.tiff([entry], orientation=orientation, big=big)
    block = exif_blocks.block([entry], big=big, prefix=b"" if kind == "PNG" else b"Exif\0\0")
    return pictures.encode(pictures.stored(pictures.scene(), orientation), kind, exif=block)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("big", [False, True], ids=["", "big"])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_returned_orientation_is_the_one_that_rotates_the_picture(kind: str, big: bool, name: str) -> None:
    data = carrying(kind, ORIENTATIONS[name], 6, big=big)
    decoded = decode(data, max_pixels=10_000_000, largest_side=300)

    thumbnail = Image.open(BytesIO(render(decoded, {"medium": Rendition(300)})["medium"].body))

    returned = metadata(data)
    assert (returned["width"], returned["height"], returned["exif"]) == (120, 80, {"Orientation": 6})
    assert thumbnail.size == (120, 80)
    assert pictures.same_scene(thumbnail, tolerance=25)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", NOT_ORIENTATIONS)
def test_an_invalid_orientation_is_not_returned_and_rotates_nothing(kind: str, name: str) -> None:
    data = carrying(kind, NOT_ORIENTATIONS[name], 1)
    decoded = decode(data, max_pixels=10_000_000, largest_side=300)

    thumbnail = Image.open(BytesIO(render(decoded, {"medium": Rendition(300)})["medium"].body))

    returned = metadata(data)
    assert (returned["width"], returned["height"], returned["exif"]) == (120, 80, {})
    assert pictures.same_scene(thumbnail, tolerance=25)


def test_the_first_of_two_orientations_in_a_tiff_counts() -> None:
    data = exif_blocks.tiff([ORIENTATIONS["SHORT"], shorts(0x0112, 3)][::-1], orientation=3)

    assert metadata(data)["exif"] == {"Orientation": 3}


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_orientation_only_in_xmp_rotates_no_format(kind: str) -> None:
    options: dict[str, Any] = {"tiffinfo": {700: XMP}} if kind == "TIFF" else {"xmp": XMP}
    if kind == "PNG":
        text_chunks = PngInfo()
        text_chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": text_chunks}
    decoded = decode(pictures.encode(pictures.scene(), kind, **options), max_pixels=10_000_000, largest_side=300)

    thumbnail = Image.open(BytesIO(render(decoded, {"medium": Rendition(300)})["medium"].body))

    assert thumbnail.size == (decoded.width, decoded.height) == (120, 80)
    assert pictures.same_scene(thumbnail, tolerance=25)
    assert decoded.exif.tags == {}


UNLISTED = 0x013D


def rotated_by_boxes(kind: str, tag: int, orientation: int) -> bytes:
    """Build a file that its boxes rotate as orientation 6, with this tag in its EXIF."""
    if kind == "HEIC":
        data, written = pictures.heic("orientation_6"), Base.Orientation.value
    else:
        # Pillow moves the orientation to the boxes. Write another tag, to be renamed.
        block = pictures.exif(orientation=6, main={UNLISTED: 6})
        data, written = pictures.encode(pictures.stored(pictures.scene(), 6), "AVIF", exif=block), UNLISTED
    entry = struct.pack(">HHIHH", written, SHORT, 1, 6, 0)
    assert data.count(entry) == 1
    return data.replace(entry, struct.pack(">HHIHH", tag, SHORT, 1, orientation, 0))


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize(
    ("tag", "orientation", "returned"),
    [(Base.Orientation, 6, 6), (Base.Orientation, 3, 3), (Base.Orientation, 1, 1), (UNLISTED, 6, None)],
)
def test_a_heif_file_is_rotated_by_its_boxes_and_returns_the_orientation_of_its_exif(
    kind: str, tag: int, orientation: int, returned: int | None
) -> None:
    data = rotated_by_boxes(kind, tag, orientation)
    decoded = decode(data, max_pixels=10_000, largest_side=300)

    thumbnail = Image.open(BytesIO(render(decoded, {"medium": Rendition(300)})["medium"].body))

    assert metadata(data)["exif"].get("Orientation") == returned
    assert (decoded.width, decoded.height) == thumbnail.size == (120, 80)
    assert pictures.same_scene(thumbnail, tolerance=25)


def test_the_exif_of_a_rotated_avif_is_returned_unchanged() -> None:
    words = "Zoë, 写真"
    # Pillow does not write UTF-8.
    placeholder = "x" * len(words.encode())
    picture = pictures.stored(pictures.scene(), 6)
    block = pictures.exif(orientation=6, main={Base.ImageDescription: placeholder})
    data = pictures.encode(picture, "AVIF", exif=block).replace(placeholder.encode(), words.encode())

    returned = metadata(data)

    assert (returned["width"], returned["height"]) == (120, 80)
    assert returned["exif"] == {"ImageDescription": words}


@pytest.mark.parametrize(
    ("name", "digits", "returned"),
    [
        ("Raw profile type exif", CAMERA.hex(), "Acme"),
        ("Raw profile type APP1", CAMERA.hex(), "Acme"),
        ("Raw profile type APP1", CAMERA[6:].hex(), "Acme"),
        ("Raw profile type xmp", CAMERA.hex(), None),
        ("Raw profile type exif", CAMERA.hex() + "00", "Acme"),
        ("Raw profile type exif", CAMERA.hex() + "0", "Acme"),
        ("Raw profile type exif", CAMERA.hex() + "no digits", "Acme"),
        ("Raw profile type exif", " \r" + CAMERA.hex(" ", 36) + "\0\xff", "Acme"),
        ("Raw profile type exif", "no digits" + CAMERA.hex(), None),
        ("Raw profile type APP1", b"http://ns.adobe.com/xap/1.0/\0".hex(), None),
    ],
)
def test_exif_that_imagemagick_wrote_into_a_png_as_text_is_read(
    name: str, digits: str, returned: str | None
) -> None:
    text_chunk = PngInfo()
    text_chunk.add_text(name, f"\nexif\n{len(CAMERA):8}\n" + "\n".join(textwrap.wrap(digits, 72)) + "\n")

    assert metadata(pictures.png(pnginfo=text_chunk))["exif"].get("Make") == returned


def test_a_png_with_exif_as_a_chunk_and_as_text_shows_the_chunk() -> None:
    text_chunk = PngInfo()
    text_chunk.add_text("Raw profile type exif", f"\nexif\n{len(CAMERA):8}\n{CAMERA.hex()}\n")
    chunk = pictures.exif(main={Base.Make: "Other"})

    assert metadata(pictures.png(pnginfo=text_chunk, exif=chunk))["exif"] == {"Make": "Other"}


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
        (pictures.gray16_png(), "grayscale", 16, False),
        (pictures.palette_png(), "palette", 2, False),
        (pictures.palette_png(transparency=b"\xff\x00"), "palette", 2, True),
        (pictures.raw_png(4, 1, depth=4, color=0, rows=b"\x50\x00"), "grayscale", 4, False),
        (pictures.raw_png(1, 1, depth=16, color=2, rows=bytes(6)), "rgb", 16, False),
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


def test_warnings_are_present_only_if_there_are_any() -> None:
    decoded = decode(pictures.jpeg(), max_pixels=10_000_000, largest_side=300)
    flawed = replace(decoded, warnings=("missing_end",))

    assert "warnings" not in extract(decoded, size_bytes=1, sha256=SHA256)
    assert extract(flawed, size_bytes=1, sha256=SHA256)["warnings"] == ["missing_end"]


def with_transfer(kind: str, transfer: int) -> bytes:
    """Build a file that names its transfer characteristics."""
    if kind == "PNG":
        return pictures.raw_png(1, 1, depth=8, color=2, rows=bytes(3), cICP=bytes((9, transfer, 0, 1)))
    coded, brand = (heif_files.av1(120, 80), b"avif") if kind == "AVIF" else (heif_files.hevc(), b"heic")
    item = coded.item(120, 80)
    colors = heif_files.box(b"colr", b"nclx", struct.pack(">HHHB", 9, transfer, 9, 128))
    other = replace(item, properties=(*item.properties, heif_files.box(b"colr", b"nclx\0\x09\0\x10\0\x09\0")))
    return heif_files.heif(replace(item, properties=(*item.properties, colors)), other, brand=brand)


@pytest.mark.parametrize("kind", ["PNG", "AVIF", "HEIC"])
@pytest.mark.parametrize(("transfer", "hdr"), [(16, True), (18, True), (1, False), (13, False)])
def test_a_picture_in_pq_or_hlg_has_a_warning(kind: str, transfer: int, hdr: bool) -> None:
    assert metadata(with_transfer(kind, transfer)).get("warnings", []) == ["hdr"] * hdr


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_frames_of_an_animation_are_counted(kind: str) -> None:
    assert metadata(pictures.animated(kind))["frames"] == 3


@pytest.mark.parametrize(
    "mark",
    [
        b'<rdf:Description xmlns:apdi="..."><apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap',
        b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>',
        b"urn:iso:std:iso:ts:21496:-1\0",
    ],
    ids=["Apple", "Google", "ISO"],
)
def test_a_gain_map_does_not_count_as_a_picture(mark: bytes) -> None:
    data = pictures.mpo()
    second = data.rindex(b"\xff\xd8\xff") + 2
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + mark
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(xmp)) + xmp

    assert metadata(data)["frames"] == 2
    assert metadata(data[:second] + segment + data[second:])["frames"] == 1


def test_the_pages_of_a_tiff_are_counted() -> None:
    assert metadata(pictures.animated("TIFF"))["frames"] == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_color_profile_has_its_own_name(kind: str) -> None:
    data = pictures.encode(pictures.scene(), kind, icc_profile=pictures.swapped_profile())

    assert metadata(data)["icc_profile"] == "swap built-in"


@pytest.mark.parametrize("profile", [b"", b"not a profile", pictures.swapped_profile()[:200], bytes(1000)])
def test_a_broken_color_profile_has_no_name(profile: bytes) -> None:
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
    ("tags", "returned"),
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
def test_the_resolution_comes_from_exif_if_the_header_has_none(
    kind: str, tags: dict[int, Any], returned: list[float] | None
) -> None:
    assert metadata(pictures.encode(pictures.scene(), kind, exif=pictures.exif(main=tags)))["dpi"] == returned


def test_a_resolution_in_several_units_at_once_is_ignored() -> None:
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
