"""Decoding: the pixels of every kind of file, and the errors for invalid files."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from image_core.errors import CorruptImage, ImageError, TooManyPixels, UnsupportedFormat
from image_processor.picture.decode import decode, memory_errors
from image_processor.picture.decoded import Decoded
from image_processor.picture.decoding import SHORT_SIDE_PIXELS
from image_processor.picture.formats import webp
from tests import pictures

MEDIUM = 300


def decoded(data: bytes, **options: object) -> Decoded:
    limits = {"max_pixels": 20_000_000, "largest_side": MEDIUM, **options}
    return decode(data, **limits)  # type: ignore[arg-type]


def opened(result: Decoded) -> Image.Image:
    """Return the complete decoded picture: upright, sRGB, not resized."""
    width, height = result.stored.size
    size = (width, height) if result.exif.orientation < 5 else (height, width)
    return replace(result, covered=(0, 0, width, height)).resized(size, Image.Resampling.NEAREST)


def row(picture: Image.Image) -> list[int]:
    """Return the first line of a gray picture."""
    assert picture.mode == "L"
    return [int(value) for value in np.asarray(picture)[0]]


FILES = {
    "jpeg": pictures.jpeg(),
    "progressive jpeg": pictures.jpeg(progressive=True),
    "MPO": pictures.mpo(),
    "CMYK jpeg": pictures.jpeg(mode="CMYK"),
    "png": pictures.png(),
    "palette png": pictures.palette_png(),
    "RGBA png": pictures.png(mode="RGBA"),
    "gif": pictures.encode(pictures.scene(), "GIF"),
    "animated gif": pictures.animated("GIF"),
    "webp": pictures.encode(pictures.scene(), "WEBP"),
    "animated webp": pictures.animated("WEBP"),
    "animated png": pictures.animated("PNG"),
    "tiff": pictures.encode(pictures.scene(), "TIFF"),
    "tiff of several pages": pictures.animated("TIFF", width=120, height=80),
    "compressed tiff": pictures.encode(pictures.scene(), "TIFF", compression="tiff_lzw"),
    "CMYK tiff": pictures.encode(pictures.scene(mode="CMYK"), "TIFF"),
    "LAB tiff": pictures.encode(pictures.scene(mode="LAB"), "TIFF"),
    "bmp": pictures.encode(pictures.scene(), "BMP"),
    "avif": pictures.encode(pictures.scene(), "AVIF"),
    "heic": pictures.heic(),
    "ten-bit heic": pictures.heic("ten_bits"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_decodes_to_its_first_picture_with_correct_colors(name: str) -> None:
    result = decoded(FILES[name])

    assert result.format == {"MPO": "jpeg"}.get(name, name.split()[-1] if "pages" not in name else "tiff")
    assert (result.width, result.height) in {(120, 80), (60, 40)}
    assert opened(result).mode == "RGB"
    assert pictures.same_scene(opened(result))


def in_orientation(kind: str, orientation: int) -> bytes:
    if kind == "HEIC":
        return pictures.heic(f"orientation_{orientation}")
    if kind == "PNG with a raw profile":
        return with_raw_profile(pictures.stored(pictures.scene(), orientation), orientation)
    if kind == "compressed TIFF":
        tag = {ExifTags.Base.Orientation: orientation}
        picture = pictures.stored(pictures.scene(), orientation)
        return pictures.encode(picture, "TIFF", compression="tiff_lzw", tiffinfo=tag)
    options = {"JPEG": {"subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"subsampling": "4:4:4"}}
    return pictures.encode(pictures.scene(), kind, orientation=orientation, **options.get(kind, {}))


def with_raw_profile(picture: Image.Image, orientation: int) -> bytes:
    """Build a PNG with its EXIF as text, as ImageMagick wrote it before PNG had a chunk for it."""
    block = pictures.exif(orientation=orientation)
    digits = "\n".join(textwrap.wrap(block.hex(), 72))
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{digits}\n", zip=True)
    return pictures.encode(picture, "PNG", pnginfo=text)


ORIENTED = ["JPEG", "PNG", "WEBP", "TIFF", "HEIC", "AVIF", "PNG with a raw profile", "compressed TIFF"]


@pytest.mark.parametrize("kind", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_of_the_eight_orientations_gives_the_same_upright_picture(kind: str, orientation: int) -> None:
    upright = np.asarray(opened(decoded(in_orientation(kind, 1)))).astype(int)

    result = decoded(in_orientation(kind, orientation))

    assert (result.width, result.height) == (120, 80)
    assert opened(result).size == (120, 80)
    assert pictures.same_scene(opened(result))
    # Lossy encoders produce different pixels along the edges between the fields of a rotated picture.
    difference = np.abs(np.asarray(opened(result)).astype(int) - upright)
    assert difference.mean() < 0.7
    assert difference.max() < (12 if kind not in ("HEIC", "AVIF") else 90)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIC"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_metadata_has_the_orientation_of_the_files_exif(kind: str, orientation: int) -> None:
    assert decoded(in_orientation(kind, orientation)).exif.tags["Orientation"] == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_leaves_the_picture_unchanged(orientation: int) -> None:
    result = decoded(pictures.jpeg(exif=pictures.exif(orientation=orientation)))

    assert (result.width, result.height) == (120, 80)
    assert pictures.same_scene(opened(result))


def test_broken_exif_does_not_fail_the_image() -> None:
    result = decoded(pictures.jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xfe" * 40))

    assert pictures.same_scene(opened(result))


def test_a_broken_index_of_further_pictures_does_not_fail_the_first() -> None:
    number_of_images = b"\x01\xb0\x04\x00"
    data = pictures.mpo()
    assert number_of_images in data

    result = decoded(data.replace(number_of_images, b"\x01\xb1\x04\x00"))

    assert pictures.same_scene(opened(result))


def test_pillow_prints_no_warnings_about_flaws_in_files() -> None:
    data = pictures.jpeg(exif=pictures.exif(main={0x010F: "a long enough name"})[:30])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = decoded(data)

    assert pictures.same_scene(opened(result))
    assert caught == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_decoded_small_and_still_upright(orientation: int) -> None:
    # None of the scales divides 3203 × 2401, so this also tests the edges of the picture.
    data = pictures.encode(pictures.scene(3203, 2401), "JPEG", orientation=orientation)

    result = decoded(data)

    assert (result.width, result.height) == (3203, 2401)
    assert SHORT_SIDE_PIXELS <= min(result.stored.size) < 2 * SHORT_SIDE_PIXELS
    assert pictures.same_scene(opened(result))
    left, top, right, bottom = result.covered
    assert max(right, bottom) / min(right, bottom) == pytest.approx(3203 / 2401, abs=1e-6)
    assert (left, top) == (0, 0)
    assert result.stored.width - 1 < right <= result.stored.width
    assert result.stored.height - 1 < bottom <= result.stored.height


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16", "F"])
def test_a_large_picture_is_reduced_in_strips_without_seams(mode: str) -> None:
    waves = 127.5 + 127.5 * np.sin(np.add.outer(np.arange(1703) / 31, np.arange(1801) / 17))
    picture = Image.fromarray(waves.astype(np.uint8))
    if mode == "1":
        picture = picture.point(lambda value: 255 * (value > 127))
    whole = picture.reduce(2)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    kind = "TIFF" if mode == "F" else "PNG"

    small = opened(decoded(pictures.encode(picture.convert(mode), kind, compress_level=1))).convert("L")

    assert small.size == (901, 852)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(whole)).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(1, 20_000), (20_000, 1), (20_000, 3)])
def test_extreme_shapes_keep_at_least_one_pixel_and_are_reduced_along_their_length(width: int, height: int) -> None:
    result = decoded(pictures.png(width, height))

    assert (result.width, result.height) == (width, height)
    assert min(opened(result).size) == min(width, height)
    assert 4_000 <= max(opened(result).size) <= 10_000


def test_gray_stays_gray() -> None:
    assert opened(decoded(pictures.jpeg(mode="L"))).mode == "L"
    assert opened(decoded(pictures.png(mode="1"))).mode == "L"
    assert opened(decoded(pictures.png(mode="LA"))).mode in {"L", "RGB"}


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    assert row(opened(decoded(pictures.gray16_png(64)))) == [round(255 * at / 63) for at in range(64)]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 65535), (-5, 5), (0, 1e9)])
def test_floating_point_is_scaled_and_not_clipped(low: float, high: float) -> None:
    values = row(opened(decoded(pictures.float_tiff(low, high, width=64))))

    assert values[0] == 0
    assert values[-1] == 255
    assert np.diff(values).min() >= 3


def test_nan_in_a_floating_point_picture_is_black() -> None:
    values = np.array([[math.nan, -4.0, 0.0, 4.0, math.inf, -math.inf]], np.float32)

    gray = row(opened(decoded(pictures.encode(Image.fromarray(values), "TIFF"))))

    assert gray == [0, 0, 128, 255, 255, 0]


def test_palette_transparency_is_kept() -> None:
    one = opened(decoded(pictures.palette_png(transparency=1)))
    several = opened(decoded(pictures.palette_png(transparency=b"\xff\x00\x80\xff")))

    assert [one.getpixel(at) for at in ((10, 10), (110, 10))] == [(*pictures.RED, 255), (*pictures.GREEN, 0)]
    assert several.getpixel((110, 10)) == (*pictures.GREEN, 0)
    assert several.getpixel((10, 70)) == (*pictures.BLUE, 128)


@pytest.mark.parametrize(
    ("depth", "color", "rows", "key"),
    [
        (2, 0, b"\x40", b"\x00\x01"),  # samples 1 0 0 0
        (4, 0, b"\x50\x00", b"\x00\x05"),
        (8, 0, b"\x05\x00\x00\x00", b"\x00\x05"),
        (16, 0, b"\x12\x34" + bytes(6), b"\x12\x34"),
        (8, 2, b"\x01\x02\x03" + bytes(9), b"\x00\x01\x00\x02\x00\x03"),
        (16, 2, b"\x12\x34\x56\x78\x9a\xbc" + bytes(18), b"\x12\x34\x56\x78\x9a\xbc"),
    ],
)
def test_a_png_with_a_transparent_color_keeps_it(depth: int, color: int, rows: bytes, key: bytes) -> None:
    data = pictures.raw_png(4, 1, depth=depth, color=color, rows=rows, tRNS=key)

    alpha = opened(decoded(data)).getchannel("A")

    assert list(np.asarray(alpha)[0]) == [0, 255, 255, 255]


def test_transparent_pixels_do_not_bleed_into_visible_ones_when_reduced() -> None:
    picture = Image.new("RGBA", (3200, 3200), (200, 0, 0, 255))
    picture.paste((0, 255, 0, 0), (0, 0, 1601, 3200))

    small = opened(decoded(pictures.encode(picture, "PNG", compress_level=1)))

    assert small.size == (800, 800)
    edge = small.getpixel((400, 400))
    assert isinstance(edge, tuple)
    assert edge[1] == 0, "no green may come from the invisible pixels"


def test_an_alpha_channel_that_hides_nothing_is_dropped() -> None:
    assert opened(decoded(pictures.png(mode="RGBA"))).mode == "RGB"


def bmp_with_alpha(picture: Image.Image) -> bytes:
    """Build a BMP with a mask for alpha (BITMAPV5HEADER) from a picture in RGBA."""
    pixels = picture.tobytes("raw", "BGRA", 0, -1)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIIIII", 124, *picture.size, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks + bytes(68)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + header + pixels


def test_a_bmp_whose_alpha_is_zero_everywhere_is_opaque() -> None:
    picture = pictures.scene(mode="RGBA")
    picture.putalpha(0)

    result = decoded(bmp_with_alpha(picture))

    assert opened(result).mode == "RGB"
    assert pictures.same_scene(opened(result))
    assert result.alpha, "the file has an alpha channel"


def test_a_bmp_with_one_visible_pixel_keeps_its_transparency() -> None:
    picture = pictures.scene(mode="RGBA")
    picture.putalpha(0)
    picture.putpixel((119, 79), (*pictures.YELLOW, 1))

    assert opened(decoded(bmp_with_alpha(picture))).getchannel("A").getextrema() == (0, 1)


@pytest.mark.parametrize("data", [pictures.jpeg(mode="L"), pictures.jpeg(mode="CMYK"), pictures.gray16_png()])
def test_the_model_gets_three_color_channels_whatever_the_file_has(data: bytes) -> None:
    assert decoded(data).for_captioning(384).mode == "RGB"


def test_a_color_profile_is_converted_to_srgb() -> None:
    actual = pictures.corners(opened(decoded(pictures.png(icc_profile=pictures.swapped_profile()))))

    assert actual["top left"] == pytest.approx(pictures.RED[::-1], abs=3)
    assert actual["bottom left"] == pytest.approx(pictures.BLUE[::-1], abs=3)


def test_a_color_profile_leaves_transparency_alone() -> None:
    data = pictures.encode(pictures.see_through(), "PNG", icc_profile=pictures.swapped_profile())

    picture = opened(decoded(data))

    assert picture.getpixel((10, 10)) == pytest.approx((*pictures.RED[::-1], 255), abs=3)
    assert picture.getchannel("A").getpixel((110, 10)) == 0


@pytest.mark.parametrize("profile", [b"", b"not a profile", pictures.swapped_profile()[:200]])
def test_a_broken_color_profile_is_ignored(profile: bytes) -> None:
    assert pictures.same_scene(opened(decoded(pictures.png(icc_profile=profile))))


def test_a_profile_for_another_color_mode_is_ignored() -> None:
    result = decoded(pictures.jpeg(mode="CMYK", icc_profile=pictures.swapped_profile()))

    assert pictures.same_scene(opened(result))


def test_a_ycck_jpeg_decodes_to_correct_colors() -> None:
    cyan, magenta, yellow, black = pictures.scene(mode="CMYK").split()
    luma, blue, red = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    # Pillow writes four channels inverted, as Adobe does, but not as YCCK: the test transforms them.
    inverted = [channel.point(lambda value: 255 - value) for channel in (luma, blue, red)]
    data = pictures.encode(Image.merge("CMYK", (*inverted, black)), "JPEG", quality=95, subsampling=0)
    marker = data.index(b"Adobe")
    transform = marker + 11

    result = decoded(data[:transform] + b"\2" + data[transform + 1 :])

    assert result.mode == "CMYK"
    assert pictures.same_scene(opened(result))


@pytest.mark.parametrize(
    ("data", "bits", "alpha"),
    [
        (pictures.jpeg(), 8, False),
        (pictures.png(mode="1"), 1, False),
        (pictures.gray16_png(), 16, False),
        (pictures.palette_png(transparency=1), 2, True),
        (pictures.png(mode="RGBA"), 8, True),
        (pictures.float_tiff(0, 1), 32, False),
        (FILES["bmp"], 8, False),
        (FILES["avif"], 8, False),
        (FILES["heic"], 8, False),
        (pictures.heic("ten_bits"), 10, False),
        (pictures.heic("see_through"), 8, True),
    ],
)
def test_bit_depth_and_transparency_are_those_of_the_file(data: bytes, bits: int, alpha: bool) -> None:
    result = decoded(data)

    assert (result.bit_depth, result.alpha) == (bits, alpha)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_models_square_equals_what_the_model_would_make_of_the_whole_picture(orientation: int) -> None:
    # Halving 2,305 columns gives 1,152.5: the last column has half a pixel too much.
    full = pictures.noise(300, 200).resize((2305, 1601), Image.Resampling.BICUBIC)
    exact = np.asarray(full.resize((384, 384), Image.Resampling.BICUBIC)).astype(int)

    actual = decoded(pictures.encode(full, "TIFF", orientation=orientation))

    array = actual.for_captioning(384)
    assert (array.mode, array.size) == ("RGB", (384, 384))
    assert np.abs(np.asarray(array).astype(int) - exact).mean() < 1.5, "with that half pixel it would be 6.9"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_models_square_is_upright_in_srgb_and_on_white(orientation: int) -> None:
    picture = pictures.see_through()
    data = pictures.encode(picture, "PNG", orientation=orientation, icc_profile=pictures.swapped_profile())

    actual = decoded(data).for_captioning(64)

    assert actual.getpixel((10, 10)) == pytest.approx(pictures.RED[::-1], abs=3)
    assert actual.getpixel((10, 54)) == pytest.approx(pictures.BLUE[::-1], abs=3)
    assert actual.getpixel((54, 10)) == actual.getpixel((54, 54)) == (255, 255, 255)


@pytest.mark.parametrize(
    "picture",
    [pictures.scene(1601, 1203), pictures.see_through(1601, 1203), pictures.scene(1601, 1203, mode="L")],
    ids=["RGB", "RGBA", "L"],
)
@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_reduced_by_libwebp_matches_pillow(picture: Image.Image, lossless: bool) -> None:
    data = pictures.encode(picture, "WEBP", lossless=lossless, quality=95, exact=True)
    whole = Image.open(BytesIO(data))

    small = webp.scaled(data, (1601, 1203), (400, 300))

    assert small is not None, "this Pillow has no libwebp to call"
    shrunk = decoded(data).for_captioning(64)
    by_pillow = Image.new("RGBA", whole.size, "white")
    by_pillow.alpha_composite(whole.convert("RGBA"))
    exact = np.asarray(by_pillow.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(np.asarray(shrunk).astype(int) - exact).mean() < 0.5
    assert np.abs(np.asarray(shrunk).astype(int) - exact).max() < 12


@pytest.mark.parametrize(("lossless", "size"), [(True, (300, 200)), (False, (1200, 800))])
def test_a_lossy_webp_with_transparency_is_decoded_at_full_size(lossless: bool, size: tuple[int, int]) -> None:
    data = pictures.encode(pictures.see_through(1200, 800), "WEBP", lossless=lossless)

    small = webp.scaled(data, (1200, 800), (300, 200))

    assert small is not None
    assert (small.mode, small.size) == ("RGBA", size)
    assert decoded(data).for_captioning(9).getpixel((1, 1)) == pytest.approx(pictures.RED, abs=6)


def test_libwebp_at_full_size_gives_exactly_pillows_pixels() -> None:
    for data in (FILES["webp"], FILES["animated webp"], pictures.encode(pictures.see_through(), "WEBP")):
        whole = Image.open(BytesIO(data))
        picture = webp.scaled(data, whole.size, whole.size)
        assert picture is not None
        assert picture.tobytes() == whole.tobytes()


def test_pillow_decodes_if_libwebp_cannot_be_called() -> None:
    corner, other = (Image.new("RGBA", (120, 80)) for _ in range(2))
    corner.paste("red", (20, 20, 40, 40))
    other.paste("red", (60, 20, 80, 40))
    data = pictures.encode(corner, "WEBP", save_all=True, append_images=[other], lossless=True)

    assert webp.scaled(data, (120, 80), (120, 80)) is None, "its first frame leaves part of the canvas empty"
    assert opened(decoded(data)).convert("RGB").getpixel((30, 30)) == (255, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")
def test_running_out_of_memory_does_not_make_the_file_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(pictures.raw_png(9_000, 9_000, depth=8, color=2, rows=b""))
    code = """
import resource, sys
from pathlib import Path
from image_processor.picture.decode import decode
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
try:
    decode(Path(sys.argv[1]).read_bytes(), max_pixels=100_000_000, largest_side=300)
except MemoryError:
    print("less memory than a picture may take")
"""
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "less memory than a picture may take"


def test_a_file_that_needs_more_memory_than_its_size_explains_is_corrupt() -> None:
    with pytest.raises(CorruptImage, match="memory"), memory_errors(100):
        raise MemoryError


def test_nothing_but_pixels_is_left_in_the_picture() -> None:
    data = pictures.jpeg(comment=b"secret", dpi=(300, 300), icc_profile=pictures.swapped_profile())
    assert b"secret" in data

    result = decoded(data)

    assert result.stored.info == opened(result).info == {}


@pytest.mark.parametrize(
    "data", [pictures.TEXT, pictures.SVG, pictures.PDF, b"BMW is a car, not a bitmap.", b"\0" * 64]
)
def test_a_file_that_is_not_an_image_is_an_unsupported_format(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        decoded(data)


@pytest.mark.parametrize("brands", [b"isom\0\0\0\0mp41avc1", b"mif1\0\0\0\0mif1miaf", b"qt  \0\0\0\0qt  "])
def test_other_files_of_the_heif_family_are_unsupported(brands: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        decoded(b"\0\0\0\x18ftyp" + brands + bytes(100))


def test_a_format_that_is_not_allowed_is_unsupported() -> None:
    with pytest.raises(UnsupportedFormat):
        decoded(FILES["gif"], formats=("jpeg", "png"))


def test_the_error_for_an_empty_file_says_that_it_is_empty() -> None:
    with pytest.raises(CorruptImage, match="empty"):
        decoded(b"")


@pytest.mark.parametrize(
    "signature", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0"]
)
def test_a_signature_followed_by_garbage_is_corrupt(signature: bytes) -> None:
    with pytest.raises(CorruptImage):
        decoded(signature + b"and then nothing that makes sense" * 20)


# Half of a file with several pictures contains the complete first picture.
@pytest.mark.parametrize("name", [n for n in FILES if not n.startswith(("animated", "tiff of", "MPO"))])
def test_a_file_cut_in_half_is_corrupt(name: str) -> None:
    with pytest.raises(CorruptImage):
        decoded(pictures.cut(FILES[name]))


JPEGS = {
    "baseline": pictures.encode(pictures.noise(40, 24), "JPEG"),
    "gray": pictures.encode(pictures.noise(40, 24).convert("L"), "JPEG"),
    "with restart markers": pictures.encode(pictures.scene(40, 24), "JPEG", restart_marker_blocks=1),
    "progressive": pictures.encode(pictures.noise(40, 24), "JPEG", progressive=True),
    "progressive with restart markers": pictures.encode(
        pictures.noise(40, 24), "JPEG", progressive=True, restart_marker_rows=1
    ),
}


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_cut_at_any_byte_of_its_picture_is_corrupt(name: str) -> None:
    data = JPEGS[name]

    for end in range(3, len(data) - 2):
        with pytest.raises(CorruptImage):
            decoded(data[:end])


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize(
    "after", [b"", b"\xff", b"\xff\xff\xff", bytes(3000)], ids=["nothing", "half", "ff", "zeros"]
)
def test_a_jpeg_that_lacks_only_its_end_marker_is_shown_with_a_warning(name: str, after: bytes) -> None:
    data = JPEGS[name]

    result = decoded(data[:-2] + after)

    assert result.warnings == ("missing_end",)
    assert result.stored.tobytes() == decoded(data).stored.tobytes()
    assert decoded(data).warnings == ()


def test_a_progressive_jpeg_without_its_last_scan_is_corrupt_although_each_pixel_has_a_color() -> None:
    data = JPEGS["progressive"]

    with pytest.raises(CorruptImage, match="incomplete"):
        decoded(data[: data.rindex(b"\xff\xda")] + bytes(100))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(1600, 1540), (3100, 3080)])
def test_a_truncated_jpeg_is_also_corrupt_at_reduced_scale(size: tuple[int, int], progressive: bool) -> None:
    picture = pictures.scene(*size)
    picture.paste(pictures.noise(64, 64), (size[0] - 64, size[1] - 64))  # the last bytes must matter
    data = pictures.encode(picture, "JPEG", progressive=progressive)
    assert opened(decoded(data)).width < size[0], "otherwise this would not be a reduced scale"

    for end in [len(data) // 4, len(data) // 2, len(data) - 12, len(data) - 3]:
        with pytest.raises(CorruptImage):
            decoded(data[:end])


def test_an_error_keeps_the_decoders_error_as_its_cause() -> None:
    with pytest.raises(CorruptImage) as caught:
        decoded(pictures.cut(FILES["gif"]))

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.message == CorruptImage.default_message


def test_too_many_pixels_are_refused_from_the_header_naming_the_limit() -> None:
    # Nothing follows the header, so decoding any pixel would raise a corrupt image.
    data = pictures.raw_png(5_000, 4_001, depth=8, color=2, rows=b"")

    with pytest.raises(TooManyPixels, match="20,000,000"):
        decoded(data)


@pytest.mark.parametrize("side", [10_001, 40_000, 2_000_000])
def test_far_too_many_pixels_are_refused_the_same_way(side: int) -> None:
    with pytest.raises(TooManyPixels):
        decoded(pictures.raw_png(side, side, depth=1, color=0, rows=b""), max_pixels=100_000_000)


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "tiff", "bmp", "avif", "heic"])
def test_the_maximum_number_of_pixels_is_accepted_and_one_more_is_not(name: str) -> None:
    assert decoded(FILES[name], max_pixels=120 * 80).width == 120
    with pytest.raises(TooManyPixels):
        decoded(FILES[name], max_pixels=120 * 80 - 1)


def test_the_limit_may_be_higher_than_pillows() -> None:
    # 95 million: Pillow itself warns above 89 million.
    data = pictures.raw_png(10_000, 9_500, depth=1, color=0, rows=b"")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CorruptImage):
            decoded(data, max_pixels=100_000_000)


def test_pillows_settings_are_restored_in_any_case() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)

    decoded(FILES["jpeg"])
    for bad in (
        pictures.TEXT,
        pictures.cut(FILES["jpeg"]),
        pictures.raw_png(9_000, 9_000, depth=1, color=0, rows=b""),
    ):
        with pytest.raises(ImageError):
            decoded(bad)

    assert limit == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


SMALL_FILES = {
    "jpeg": pictures.encode(
        pictures.noise(24, 16), "JPEG", exif=pictures.exif(orientation=6, gps=pictures.gps_tags())
    ),
    "progressive": pictures.encode(pictures.noise(24, 16), "JPEG", progressive=True, subsampling=0),
    "mpo": pictures.mpo(24, 16),
    "png": pictures.encode(pictures.noise(24, 16), "PNG", icc_profile=pictures.swapped_profile()),
    "palette": pictures.palette_png(transparency=b"\xff\x00\x80\xff"),
    "gray16": pictures.gray16_png(),
    "gif": pictures.animated("GIF", 24, 16),
    "webp": pictures.encode(pictures.see_through(24, 16), "WEBP", exif=pictures.exif(orientation=8)),
    "tiff": pictures.encode(pictures.noise(24, 16), "TIFF", compression="tiff_lzw"),
    "raw tiff": pictures.encode(pictures.noise(24, 16), "TIFF"),
    "float tiff": pictures.float_tiff(0, 1),
    "bmp": pictures.encode(pictures.noise(24, 16), "BMP"),
    "avif": pictures.encode(pictures.noise(24, 16), "AVIF"),
}


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw a damaged variant of `data`: bytes overwritten, mostly near the start; perhaps truncated or spliced."""
    broken = bytearray(data)
    places = st.integers(0, len(data) - 1) | st.integers(0, min(len(data) - 1, 120))
    values = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
    for place, value in draw(st.lists(st.tuples(places, values), max_size=6)):
        broken[place] = value
    start, end = sorted(draw(st.tuples(places, places)))
    match draw(st.sampled_from(["whole", "whole", "cut", "hole", "twice"])):
        case "cut":
            return bytes(broken[:end])
        case "hole":
            return bytes(broken[:start] + broken[end:])
        case "twice":
            return bytes(broken[:end] + broken[start:])
    return bytes(broken)


@pytest.mark.parametrize("name", SMALL_FILES)
def test_damaged_files_decode_or_raise_an_image_error_and_nothing_else(name: str) -> None:
    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(damaged(SMALL_FILES[name]))
    def check(data: bytes) -> None:
        try:
            result = decoded(data, max_pixels=1_000_000)
        except (CorruptImage, TooManyPixels, UnsupportedFormat):
            return
        assert opened(result).mode in {"L", "RGB", "RGBA"}
        assert result.width * result.height <= 1_000_000
        assert result.for_captioning(384).mode == "RGB"

    check()
