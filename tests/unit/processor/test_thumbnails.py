"""Thumbnails: their size, their pixels, and that they contain nothing else."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from image_core.renditions import MAX_ENCODED_BYTES, largest_side, parse
from image_processor.picture.decode import decode
from image_processor.picture.thumbnails import Thumbnail, render, scaled
from tests import pictures

SIZES = "small=150,medium=300"


def thumbnails(data: bytes, table: str = SIZES) -> dict[str, Thumbnail]:
    sizes = parse(table)
    return render(decode(data, max_pixels=20_000_000, largest_side=largest_side(sizes)), sizes)


def opened(thumbnail: Thumbnail) -> Image.Image:
    picture = Image.open(BytesIO(thumbnail.body))
    picture.load()
    assert picture.size == (thumbnail.width, thumbnail.height)
    return picture


def sizes_of(data: bytes) -> dict[str, tuple[int, int]]:
    return {name: opened(thumbnail).size for name, thumbnail in thumbnails(data).items()}


@pytest.mark.parametrize(
    ("width", "height", "small", "medium"),
    [
        (1800, 1200, (150, 100), (300, 200)),
        (1200, 1800, (100, 150), (200, 300)),
        (640, 640, (150, 150), (300, 300)),
        (200, 120, (150, 90), (200, 120)),
        (100, 60, (100, 60), (100, 60)),
        (1, 1, (1, 1), (1, 1)),
        (4000, 3, (150, 1), (300, 1)),
        (3, 4000, (1, 150), (1, 300)),
        (20_000, 1, (150, 1), (300, 1)),
    ],
)
def test_a_thumbnail_fits_its_square_is_never_enlarged_and_has_at_least_one_pixel(
    width: int, height: int, small: tuple[int, int], medium: tuple[int, int]
) -> None:
    assert sizes_of(pictures.png(width, height)) == {"small": small, "medium": medium}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_thumbnails_are_upright_whatever_the_orientation(kind: str, orientation: int) -> None:
    data = pictures.encode(pictures.scene(1801, 1201), kind, orientation=orientation)

    for name, size in {"small": (150, 100), "medium": (300, 200)}.items():
        picture = opened(thumbnails(data)[name])
        assert picture.size == size
        assert pictures.same_scene(picture)


@pytest.mark.parametrize(
    "data",
    [
        pictures.jpeg(),
        pictures.jpeg(mode="L"),
        pictures.jpeg(mode="CMYK"),
        pictures.png(mode="RGBA"),
        pictures.mpo(),
    ],
)
def test_an_opaque_picture_becomes_a_jpeg(data: bytes) -> None:
    for thumbnail in thumbnails(data).values():
        assert thumbnail.content_type == "image/jpeg"
        assert opened(thumbnail).format == "JPEG"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_a_picture_with_transparency_becomes_a_png_that_keeps_it(kind: str) -> None:
    for thumbnail in thumbnails(pictures.encode(pictures.see_through(400, 200), kind)).values():
        picture = opened(thumbnail)
        assert thumbnail.content_type == "image/png"
        assert picture.format == "PNG"
        assert picture.mode == "RGBA"
        alpha = np.asarray(picture.getchannel("A"))
        assert alpha[:, : thumbnail.width // 2 - 4].min() == 255
        assert alpha[:, thumbnail.width // 2 + 4 :].max() == 0


def test_a_thumbnail_is_close_to_an_exact_reduction_of_the_original() -> None:
    # After a first halving, 2,403 columns are 1,201.5. A transparent corner makes it a PNG, which is lossless.
    original = pictures.noise(120, 80).resize((2403, 1602), Image.Resampling.BICUBIC)
    original.putalpha(255)
    original.paste((0, 0, 0, 0), (0, 0, 400, 400))
    data = pictures.encode(original, "PNG", compress_level=1)

    rendered = thumbnails(data)

    for name, quality in {"medium": 40, "small": 35}.items():
        exact = original.resize((rendered[name].width, rendered[name].height), Image.Resampling.LANCZOS)
        assert decibels(opened(rendered[name]), exact) > quality


def decibels(actual: Image.Image, exact: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of the opaque pixels."""
    opaque = np.asarray(exact.getchannel("A")) == 255
    difference = np.asarray(actual.convert("RGB")).astype(float) - np.asarray(exact.convert("RGB"))
    return float(10 * np.log10(255**2 / np.mean(difference[opaque] ** 2)))


PRIVATE = b"0123-private-4567"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + PRIVATE + b"</x:xmpmeta>"
PHOTOSHOP = (
    b"Photoshop 3.0\0"
    + b"8BIM\x04\x04\0\0"
    + (5 + len(PRIVATE)).to_bytes(4, "big")
    + (b"\x1c\x02\x78" + len(PRIVATE).to_bytes(2, "big") + PRIVATE)
)  # IPTC: a caption


def with_all_metadata(kind: str, transparent: bool) -> bytes:
    """Build a file with all the metadata that its format supports."""
    picture = pictures.see_through() if transparent else pictures.scene()
    exif = pictures.exif(main={0x010E: PRIVATE.decode()}, gps=pictures.gps_tags())
    profile, dpi = pictures.swapped_profile(), (299, 299)
    text = PngImagePlugin.PngInfo()
    for key in ("Comment", "XML:com.adobe.xmp", "Raw profile type iptc"):
        text.add_itxt(key, PRIVATE.decode())
    more: dict[str, dict[str, Any]] = {
        "JPEG": {"comment": PRIVATE, "xmp": XMP, "exif": exif, "icc_profile": profile, "dpi": dpi},
        "PNG": {"pnginfo": text, "exif": exif, "icc_profile": profile, "dpi": dpi},
        "WEBP": {"xmp": XMP, "exif": exif, "icc_profile": profile},
        "TIFF": {"exif": exif, "icc_profile": profile, "dpi": dpi, "tiffinfo": {700: XMP, 34377: PHOTOSHOP}},
        "AVIF": {"xmp": XMP, "exif": exif, "icc_profile": profile},
        "GIF": {"comment": PRIVATE},
        "BMP": {"dpi": dpi},
    }
    data = pictures.encode(picture, kind, **more[kind])
    if kind == "JPEG":
        data = data[:2] + b"\xff\xed" + (2 + len(PHOTOSHOP)).to_bytes(2, "big") + PHOTOSHOP + data[2:]
    assert PRIVATE in data or kind == "BMP"
    return data


def parts(body: bytes) -> set[str]:
    """Return the names of a JPEG's segments or of a PNG's chunks."""
    if body.startswith(b"\x89PNG"):
        names, at = set(), 8
        while at < len(body):
            names.add(body[at + 4 : at + 8].decode())
            at += 12 + int.from_bytes(body[at : at + 4], "big")
        assert at == len(body)
        return names
    names, at = set(), 2
    while body[at + 1] != 0xD9:
        names.add(f"{body[at + 1]:02X}")
        scan = body[at + 1] == 0xDA
        at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        while scan and (body[at] != 0xFF or body[at + 1] in (0, *range(0xD0, 0xD8))):
            at += 1
    assert at + 2 == len(body)
    return names


@pytest.mark.parametrize(
    ("kind", "transparent"),
    [
        *((kind, False) for kind in ("JPEG", "BMP", "HEIC")),
        *((kind, transparent) for kind in ("PNG", "WEBP", "TIFF", "AVIF", "GIF") for transparent in (False, True)),
    ],
)
def test_a_thumbnail_contains_only_pixels(kind: str, transparent: bool) -> None:
    data = pictures.heic("orientation_6") if kind == "HEIC" else with_all_metadata(kind, transparent)

    for thumbnail in thumbnails(data).values():
        found = parts(thumbnail.body)
        assert PRIVATE not in thumbnail.body
        if transparent:
            assert found == {"IHDR", "IDAT", "IEND"}
        else:
            # Tables, frame and scan. The first application segment is JFIF, which declares no density.
            assert found == {"E0", "DB", "C0", "C4", "DA"}
            assert thumbnail.body[2:20] == b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


def test_a_decoded_picture_too_small_for_a_thumbnail_is_an_error_and_not_enlarged() -> None:
    small = decode(pictures.png(1600, 1600), max_pixels=20_000_000, largest_side=300)

    with pytest.raises(ValueError, match="large would be enlarged"):
        render(small, parse("medium=300,large=1024"))


def test_thumbnails_are_named_and_ordered_as_requested() -> None:
    rendered = thumbnails(pictures.png(800, 400), "tiny=16,large=320,medium=100")

    assert [(name, rendered[name].width) for name in rendered] == [("tiny", 16), ("large", 320), ("medium", 100)]


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert thumbnails(pictures.jpeg(900, 600)) == thumbnails(pictures.jpeg(900, 600))


@pytest.mark.parametrize(
    ("entry", "opaque", "transparent"),
    [
        ("x=512", "jpeg", "png"),
        ("x=513", "jpeg", "webp"),
        ("x=300:webp", "webp", "webp"),
        ("x=300:avif", "avif", "avif"),
        ("x=300:jpeg", "jpeg", "jpeg"),
    ],
)
def test_the_table_chooses_the_format(entry: str, opaque: str, transparent: str) -> None:
    see_through = pictures.encode(pictures.see_through(600, 300), "PNG")
    for data, expected in ((pictures.jpeg(600, 300), opaque), (see_through, transparent)):
        thumbnail = thumbnails(data, entry)["x"]
        assert thumbnail.content_type == f"image/{expected}"
        assert opened(thumbnail).format == expected.upper()
        keeps_alpha = expected != "jpeg" and data is see_through
        assert (opened(thumbnail).mode == "RGBA") is keeps_alpha


def test_a_jpeg_of_a_transparent_picture_has_a_white_background() -> None:
    picture = opened(thumbnails(pictures.encode(pictures.see_through(600, 300), "PNG"), "x=300:jpeg")["x"])
    red, green, blue = picture.convert("RGB").getpixel((299, 75))  # type: ignore[misc]
    assert min(red, green, blue) > 250


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_a_lower_quality_takes_fewer_bytes(kind: str) -> None:
    rendered = thumbnails(pictures.encode(pictures.noise(300, 300), "PNG"), f"low=300:{kind}:30,high=300:{kind}:90")
    assert len(rendered["low"].body) < 0.6 * len(rendered["high"].body)


@pytest.mark.parametrize("table", ["x=300", "x=512:jpeg:94"])
def test_noise_fits_into_the_encoders_buffer(table: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3), np.uint8)
    thumbnail = thumbnails(pictures.encode(Image.fromarray(noise), "BMP"), table)["x"]
    assert opened(thumbnail).format == "JPEG"


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_quality_is_lowered_if_a_response_has_no_room_for_the_picture(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), np.uint8)
    data = pictures.encode(Image.fromarray(noise), "BMP")

    assert len(thumbnails(data, f"x=2000:{kind}:100")["x"].body) <= MAX_ENCODED_BYTES


def test_noise_in_the_transparency_of_a_webp_is_reduced_for_the_same_reason() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2200, 2200), np.uint8)
    picture = Image.new("RGB", (2200, 2200), "red")
    picture.putalpha(Image.fromarray(noise))

    thumbnail = thumbnails(pictures.encode(picture, "PNG", compress_level=1), "x=2200:webp")["x"]

    assert len(thumbnail.body) <= MAX_ENCODED_BYTES
    assert opened(thumbnail).mode == "RGBA"


@pytest.mark.parametrize(
    ("width", "height", "small", "large"),
    [
        (4000, 3000, (150, 112), (1280, 960)),
        (4000, 1000, (150, 38), (1280, 320)),
        (10_000, 1000, (150, 15), (3200, 320)),
        (1000, 10_000, (15, 150), (320, 3200)),
        (20_000, 700, (150, 5), (5120, 179)),
        (2000, 100, (150, 8), (2000, 100)),
    ],
)
def test_a_panorama_for_the_screen_is_longer_than_its_square(
    width: int, height: int, small: tuple[int, int], large: tuple[int, int]
) -> None:
    rendered = thumbnails(pictures.png(width, height), "small=150,large=1280:webp")

    assert {name: opened(one).size for name, one in rendered.items()} == {"small": small, "large": large}
    assert large[0] * large[1] <= 1280 * 1280


def test_a_large_picture_is_resized_in_halves_without_a_seam() -> None:
    original = pictures.noise(400, 300).resize((2000, 1500), Image.Resampling.BICUBIC)
    data = pictures.encode(original, "BMP")

    decoded = decode(data, max_pixels=20_000_000, largest_side=1280)
    large = np.asarray(scaled(decoded, parse("large=1280"))["large"]).astype(int)

    exact = np.asarray(original.convert("RGB").resize((1280, 960), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(large - exact).max() <= 1
