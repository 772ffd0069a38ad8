"""Files that are refused before decoding: too large, too many pictures, truncated, or built to be slow to read."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from image_core.errors import CorruptImage, TooManyPixels, UnsupportedFormat
from image_processor.picture.decode import decode
from image_processor.picture.decoded import Decoded
from image_processor.picture.formats import FORMATS, DecodeLimits, FileInfo, bmp, jpeg, jpeg_scans, png, tiff, webp
from tests import heif_files, pictures
from tests.fuzz import png_chunks

LIMITS = DecodeLimits(pixels=1_000_000, frames=50)


def inspect(data: bytes, kind: str, limits: DecodeLimits = LIMITS) -> FileInfo:
    return FORMATS[kind].inspect(data, limits)


def shown(data: bytes) -> Decoded:
    return decode(data, max_pixels=1_000_000, largest_side=300)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(b)) + b + b"\0" * (len(b) & 1) for n, b in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def directory(*entries: tuple[int, int, int, bytes], following: int = 0) -> bytes:
    """Build a directory from tag, type, count, and four bytes of value or offset; little-endian."""
    body = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def long(value: int) -> bytes:
    return struct.pack("<I", value)


SIZE = (256, 4, 1, long(1)), (257, 4, 1, long(1))


@pytest.mark.parametrize(
    ("kind", "data", "frames", "bits"),
    [
        ("jpeg", pictures.jpeg(), 1, 8),
        ("jpeg", pictures.jpeg(progressive=True), 1, 8),
        ("png", pictures.png(), 1, 8),
        ("png", pictures.png(mode="1"), 1, 1),
        ("png", pictures.encode(Image.new("I;16", (120, 80)), "PNG"), 1, 16),
        ("gif", pictures.encode(pictures.scene(), "GIF"), 1, 8),
        ("webp", pictures.encode(pictures.scene(), "WEBP"), 1, 8),
        ("webp", pictures.encode(pictures.scene(), "WEBP", lossless=True), 1, 8),
        ("webp", pictures.encode(pictures.see_through(), "WEBP"), 1, 8),
        ("tiff", pictures.encode(pictures.scene(), "TIFF"), 1, 8),
        ("tiff", pictures.encode(pictures.scene(), "TIFF", big_tiff=True), 1, 8),
        ("tiff", pictures.encode(Image.new("F", (120, 80)), "TIFF"), 1, 32),
        ("bmp", pictures.encode(pictures.scene(), "BMP"), 1, 8),
        ("bmp", pictures.encode(pictures.scene(mode="1"), "BMP"), 1, 1),
        *((kind, pictures.animated(kind.upper(), 120, 80), 3, 8) for kind in ("png", "webp", "tiff")),
    ],
)
def test_size_depth_and_number_of_frames_are_known_before_decoding(
    kind: str, data: bytes, frames: int, bits: int
) -> None:
    found = inspect(data, kind)

    assert (found.width, found.height, found.frames) == (120, 80, frames)
    if kind != "gif":
        assert found.bit_depth == bits


def test_the_bit_depth_of_a_gif_is_that_of_its_palette() -> None:
    four_colors = Image.open(BytesIO(pictures.palette_png()))

    found = inspect(pictures.encode(four_colors, "GIF"), "gif")

    assert (found.frames, found.bit_depth) == (1, 2)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "tiff", "bmp"])
def test_one_pixel_above_the_limit_is_too_many(kind: str) -> None:
    data = pictures.encode(pictures.scene(), kind)

    assert inspect(data, kind, DecodeLimits(120 * 80, 1))
    with pytest.raises(TooManyPixels, match=r"limit is 9,599\."):
        inspect(data, kind, DecodeLimits(120 * 80 - 1, 1))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_one_frame_above_the_limit_is_too_many(kind: str) -> None:
    data = pictures.animated(kind)

    assert decode(data, max_pixels=10_000, max_frames=3, largest_side=300).frames == 3
    with pytest.raises(TooManyPixels, match="more than 2 frames"):
        decode(data, max_pixels=10_000, max_frames=2, largest_side=300)


@pytest.mark.parametrize(("data", "frames"), [(pictures.mpo(), 2), (pictures.heic("two_pictures"), 2)])
def test_pictures_after_the_first_count_as_frames(data: bytes, frames: int) -> None:
    assert decode(data, max_pixels=10_000, largest_side=300).frames == frames
    with pytest.raises(TooManyPixels, match="frames"):
        decode(data, max_pixels=10_000, max_frames=1, largest_side=300)


def test_a_webp_truncated_at_any_byte_is_detected() -> None:
    data = pictures.encode(pictures.noise(24, 16), "WEBP")

    for end in range(16, len(data)):
        with pytest.raises(CorruptImage):
            inspect(data[:end], "webp")


PNGS = {
    "plain": pictures.encode(pictures.noise(24, 16), "PNG"),
    "interlaced": png_chunks.interlaced(),
    "animated": pictures.animated("PNG"),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_truncated_at_any_byte_of_its_picture_is_corrupt(name: str) -> None:
    data = PNGS[name]
    at = data.index(b"IDAT")
    end_of_picture = at + 8 + int.from_bytes(data[at - 4 : at], "big")

    for end in range(16, end_of_picture):
        with pytest.raises(CorruptImage):
            shown(data[:end])


@pytest.mark.parametrize("name", PNGS)
@pytest.mark.parametrize("after", [b"", bytes(100), b"\0\0\1\0tEXtcut"], ids=["nothing", "zeros", "half a text"])
def test_a_png_that_lacks_only_its_end_is_shown_with_a_warning(name: str, after: bytes) -> None:
    data = PNGS[name]

    result = shown(data[: data.index(b"IEND") - 4] + after)

    assert result.warnings == ("missing_end",)
    assert result.stored.tobytes() == shown(data).stored.tobytes()
    assert shown(data).warnings == ()


def bad_chunk(name: bytes, body: bytes) -> bytes:
    return chunk(name, body)[:-1] + b"?"


@pytest.mark.parametrize("place", ["IDAT", "IEND"])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        (b"eXIf", pictures.exif(orientation=6)[6:]),
        (b"tEXt", b"a\0b"),
        (b"acTL", struct.pack(">II", 7, 0)),
    ],
)
def test_a_png_chunk_of_metadata_with_a_wrong_checksum_is_ignored_with_a_warning(
    name: bytes, body: bytes, place: str
) -> None:
    data = pictures.png()
    at = data.index(place.encode()) - 4

    result = shown(data[:at] + bad_chunk(name, body) + data[at:])

    assert result.warnings == ("bad_checksum",)
    assert (result.width, result.height, result.frames, result.dpi) == (120, 80, 1, None)
    assert result.stored.tobytes() == shown(data).stored.tobytes()


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE"])
def test_a_png_whose_header_or_palette_has_a_wrong_checksum_is_corrupt(name: bytes) -> None:
    data = pictures.palette_png()
    at = data.index(name)
    checksum = at + 4 + int.from_bytes(data[at - 4 : at], "big")

    with pytest.raises(CorruptImage):
        shown(data[:checksum] + b"????" + data[checksum + 4 :])


def test_pixels_of_a_png_that_zlib_finds_intact_are_shown_although_their_chunk_has_a_wrong_checksum() -> None:
    data = pictures.png()
    checksum = data.index(b"IEND") - 8

    result = shown(data[:checksum] + b"????" + data[checksum + 4 :])

    assert result.warnings == ("bad_checksum",)
    assert result.stored.tobytes() == shown(data).stored.tobytes()


@pytest.mark.parametrize(("place", "applied"), [("IDAT", True), ("IEND", False)])
def test_a_color_profile_behind_the_pixels_of_a_png_is_ignored(place: str, applied: bool) -> None:
    data, profile = pictures.png(), pictures.swapped_profile()
    at = data.index(place.encode()) - 4

    result = shown(data[:at] + chunk(b"iCCP", b"swap\0\0" + zlib.compress(profile)) + data[at:])

    assert (result.icc_profile == profile) == applied
    assert result.warnings == ()


def test_a_jpeg_with_too_many_scans_is_refused() -> None:
    data = pictures.jpeg(progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]

    def with_scans(more: int) -> bytes:
        return data[:-2] + scan * more + data[-2:]

    own = data.count(b"\xff\xda")
    assert inspect(with_scans(jpeg_scans.MAX_SCANS - own), "jpeg")
    with pytest.raises(TooManyPixels, match="100 times"):
        inspect(with_scans(jpeg_scans.MAX_SCANS - own + 1), "jpeg")


def test_the_scans_of_a_baseline_jpeg_are_counted_too() -> None:
    data = pictures.jpeg()
    scan = data.rindex(b"\xff\xda")
    one = segment(0xDA, b"\1\1\0\0\x3f\0") + b"\0"
    with pytest.raises(TooManyPixels, match="100 times"):
        inspect(data[:scan] + one * (jpeg_scans.MAX_SCANS + 1) + data[-2:], "jpeg")


def test_bytes_that_look_like_scans_are_not_counted_inside_a_segment() -> None:
    data = pictures.jpeg()
    after_tables = data.rindex(b"\xff\xda")
    harmless = segment(0xFE, b"\xff\xda" * 500)

    assert inspect(data[:after_tables] + harmless + data[after_tables:], "jpeg")
    assert inspect(data + b"\xff\xda" * 500, "jpeg"), "bytes after the end of the picture do not count either"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("junk", b"\0" * (jpeg.MAX_JUNK_BYTES + 1)),
        ("stuffed junk", b"\xff\0" * (jpeg.MAX_JUNK_BYTES + 1)),
        ("comments", segment(0xFE, b"") * (jpeg.MAX_SEGMENTS + 1)),
        ("EXIF", segment(0xE1, b"Exif\0\0" + bytes(60_000)) * (jpeg.MAX_EXIF_SEGMENTS + 1)),
    ],
)
def test_a_jpeg_with_an_overlong_header_is_corrupt(name: str, header: bytes) -> None:
    data = pictures.jpeg()
    with pytest.raises(CorruptImage, match="header is too long"):
        inspect(data[:2] + header + data[2:], "jpeg")


def test_a_jpeg_may_have_a_profile_in_many_segments() -> None:
    data = pictures.jpeg(icc_profile=pictures.swapped_profile() + bytes(3_000_000), comment=b"x" * 60_000)
    assert len(data) > 3_000_000
    assert inspect(data, "jpeg").width == 120


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xda\0\2", b"\xff\xd8" + segment(0xC0, b"\x08")]
)
def test_a_jpeg_without_a_frame_header_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        inspect(data + b"\xff" * 8, "jpeg")


@pytest.mark.parametrize(("name", "most"), [(b"teST", png.MAX_CHUNKS - 2), (b"iCCP", png.MAX_PROFILES)])
def test_a_png_with_very_many_chunks_is_corrupt(name: bytes, most: int) -> None:
    data = pictures.png()  # two chunks and the end
    assert inspect(data[:33] + chunk(name, b"") * most + data[33:], "png")
    with pytest.raises(CorruptImage, match="too many chunks"):
        inspect(data[:33] + chunk(name, b"") * (most + 1) + data[33:], "png")


@pytest.mark.parametrize(("place", "frames"), [("before", 7), ("after", 1)])
def test_a_png_is_an_animation_only_if_declared_before_its_pixels(place: str, frames: int) -> None:
    data, animation = pictures.png(), chunk(b"acTL", struct.pack(">II", 7, 0))
    at = data.index(b"IDAT") - 4 if place == "before" else data.index(b"IEND") - 4

    assert inspect(data[:at] + animation + data[at:], "png").frames == frames


def packed_chunk(name: bytes, size: int) -> bytes:
    """Build a chunk of compressed text, or a compressed profile, that decompresses to `size` bytes."""
    head = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[name]
    return chunk(name, head + zlib.compress(bytes(size), 9))


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_or_a_profile_in_a_png_may_be_large_but_not_a_bomb(name: bytes) -> None:
    data = pictures.png()
    large, bomb = (data[:33] + packed_chunk(name, size) + data[33:] for size in (3_000_000, 100_000_000))

    assert decode(large, max_pixels=10_000, largest_side=300).width == 120
    with pytest.raises(CorruptImage):
        decode(bomb, max_pixels=10_000, largest_side=300)


def gif_picture(left: int, top: int, width: int, height: int, flags: int = 0) -> bytes:
    colors = bytes(3 << (flags & 7) + 1 if flags & 128 else 0)
    return b"," + struct.pack("<4HB", left, top, width, height, flags) + colors + b"\2\1x\0"


def gif(width: int, height: int, *parts: bytes, flags: int = 0) -> bytes:
    colors = bytes(3 << (flags & 7) + 1 if flags & 128 else 0)
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + colors + b"".join(parts) + b";"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (gif(40_000, 2, gif_picture(0, 0, 9, 2)), FileInfo(40_000, 2, 8, 1)),
        (gif(9, 9, gif_picture(0, 0, 9, 9), flags=7), FileInfo(9, 9, 8, 1)),
        (gif(9, 9, gif_picture(0, 0, 9, 9), flags=0x83), FileInfo(9, 9, 4, 1)),
        (gif(9, 9, gif_picture(0, 0, 9, 9, 0x82), gif_picture(0, 0, 9, 9, 7), flags=0x83), FileInfo(9, 9, 3, 2)),
        (gif(9, 9, gif_picture(5, 7, 20, 30), gif_picture(0, 0, 900, 900)), FileInfo(25, 37, 8, 2)),
        (gif(9, 9, b"\x21\xfe\1x\0", gif_picture(0, 0, 9, 9)), FileInfo(9, 9, 8, 1)),
        (gif(9, 9, gif_picture(0, 0, 9, 9), gif_picture(0, 0, 9, 9)[:9])[:-1], FileInfo(9, 9, 8, 1)),
    ],
    ids=["wide", "no colors", "global colors", "own colors", "reaches beyond", "comment", "cut short"],
)
def test_a_gif_is_described_by_its_first_frame_and_all_frames_are_counted(data: bytes, expected: FileInfo) -> None:
    assert inspect(data, "gif") == expected


def test_a_gif_with_very_many_small_pieces_is_corrupt() -> None:
    # For a file of 26,000 bytes the limit is 10,000 plus an eighth of the bytes.
    assert inspect(gif(9, 9, b"\x21\xfe" + b"\1x" * 13_000 + b"\0", gif_picture(0, 0, 9, 9)), "gif")
    with pytest.raises(CorruptImage, match="too many blocks"):
        inspect(gif(9, 9, b"\x21\xfe" + b"\1x" * 14_000 + b"\0", gif_picture(0, 0, 9, 9)), "gif")


def test_a_first_picture_larger_than_the_screen_of_a_gif_enlarges_it() -> None:
    data = bytearray(pictures.encode(pictures.scene(), "GIF"))
    data[6:10] = struct.pack("<HH", 10, 10)

    found = inspect(bytes(data), "gif")
    result = decode(bytes(data), max_pixels=1_000_000, largest_side=300)

    assert (found.width, found.height) == (result.width, result.height) == (120, 80)
    with pytest.raises(TooManyPixels):
        inspect(bytes(data), "gif", DecodeLimits(9_000, 1))


def test_a_loop_in_the_pages_of_a_tiff_ends() -> None:
    entries = [(256, 4, 1, long(1)), (257, 4, 1, long(1))]
    first = 8
    size = len(directory(*entries))
    data = (
        b"II*\0" + long(first) + directory(*entries, following=first + size) + directory(*entries, following=first)
    )

    assert inspect(data, "tiff").frames == 2


def test_the_last_page_of_a_tiff_may_lack_its_end_mark() -> None:
    data = b"II*\0" + long(8) + directory(*SIZE)

    assert [inspect(data[: len(data) - missing], "tiff").frames for missing in range(5)] == [1] * 5
    with pytest.raises(CorruptImage, match="incomplete"):
        inspect(data[:-5], "tiff")


def test_pages_of_a_tiff_after_an_empty_one_are_counted() -> None:
    second = 8 + len(directory(*SIZE))
    empty = directory(following=second + 6)

    assert (
        inspect(b"II*\0" + long(8) + directory(*SIZE, following=second) + empty + directory(), "tiff").frames == 3
    )


def test_only_the_first_value_of_a_tag_must_be_inside_the_tiff() -> None:
    end = 8 + len(directory(*SIZE))
    ifd = directory((256, 4, 2, long(end)), (257, 4, 1, long(7)))

    assert inspect(b"II*\0" + long(8) + ifd + long(5), "tiff").width == 5
    with pytest.raises(CorruptImage):
        inspect(b"II*\0" + long(8) + ifd + long(5)[:3], "tiff")


def test_counting_the_pages_of_a_tiff_stops_at_the_limit() -> None:
    entry = (256, 4, 1, long(1)), (257, 4, 1, long(1))
    size = len(directory(*entry))
    pages = b"".join(directory(*entry, following=8 + at * size) for at in range(1, 60))
    with pytest.raises(TooManyPixels, match="50 frames"):
        inspect(b"II*\0" + long(8) + pages + directory(*entry), "tiff")


@pytest.mark.parametrize("tag", [273, 279, 324, 258])
def test_a_tiff_with_very_many_pieces_is_corrupt(tag: int) -> None:
    count = tiff.MAX_PIECES + 1
    ifd = directory((256, 4, 1, long(1)), (257, 4, 1, long(1)), (tag, 4, count, long(8)))
    with pytest.raises(CorruptImage, match="strips, tiles or values"):
        inspect(b"II*\0" + long(8) + ifd + bytes(4 * count), "tiff")


def test_a_tile_above_the_pixel_limit_is_refused_even_in_a_small_picture() -> None:
    ifd = directory(
        (256, 4, 1, long(9)), (257, 4, 1, long(9)), (322, 4, 1, long(65_536)), (323, 4, 1, long(65_536))
    )
    with pytest.raises(TooManyPixels, match="tile"):
        inspect(b"II*\0" + long(8) + ifd, "tiff")


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0" + long(16) + b"CR\2\0" + long(0) + directory(*SIZE),
        b"II*\0" + long(8) + directory(*SIZE, (50706, 1, 4, b"\1\4\0\0")),
        b"II*\0" + long(8) + directory((254, 4, 1, long(1)), *SIZE, (330, 4, 1, long(8))),
    ],
    ids=["Canon", "DNG", "Nikon"],
)
def test_camera_raw_files_are_unsupported_although_they_contain_a_tiff(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="raw"):
        inspect(data, "tiff")


@pytest.mark.parametrize("data", [b"II*\0\xff\xff\xff\xff", b"II*\0" + long(8) + b"\xff\xff", b"II+\0" + bytes(12)])
def test_a_tiff_without_its_directory_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        inspect(data, "tiff")


def tiff_of(*, color: int, samples: int, bits: int, sample_format: int = 1, compression: int = 1) -> bytes:
    """Build a TIFF of one pixel, all zeros."""
    tags = {
        256: 1,
        257: 1,
        258: bits,
        259: compression,
        262: color,
        273: 8,
        277: samples,
        279: 64,
        339: sample_format,
    }
    return b"II*\0" + long(8) + directory(*((tag, 3, 1, long(value)) for tag, value in tags.items())) + bytes(64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff_of(color=8, samples=3, bits=16), "Lab, 3 × 16 bits"),
        (tiff_of(color=2, samples=3, bits=32, sample_format=3), "RGB, 3 × 32 bits, floating point"),
        (tiff_of(color=32845, samples=3, bits=16, sample_format=2, compression=34676), "LogLuv"),
        (tiff_of(color=2, samples=3, bits=8, compression=50001), "WebP"),
        (tiff_of(color=2, samples=3, bits=8, compression=34712), "JPEG 2000"),
    ],
)
def test_a_tiff_in_a_layout_that_no_decoder_knows_is_unsupported_and_the_message_says_why(
    data: bytes, reason: str
) -> None:
    with pytest.raises(UnsupportedFormat, match=reason):
        shown(data)


@pytest.mark.parametrize(
    "data",
    [
        tiff_of(color=7, samples=3, bits=8),
        tiff_of(color=2, samples=3, bits=99),
        tiff_of(color=2, samples=0, bits=8),
        tiff_of(color=2, samples=3, bits=8, sample_format=9),
        tiff_of(color=2, samples=3, bits=8, compression=12345),
    ],
    ids=["color", "bits", "samples", "sample format", "compression"],
)
def test_a_tiff_whose_layout_makes_no_sense_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        shown(data)


def jpeg_coded_as(frame: int, bits: int = 8) -> bytes:
    data = pictures.jpeg()
    return data.replace(b"\xff\xc0\0\x11\x08", bytes((0xFF, frame, 0, 0x11, bits)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg_coded_as(0xC1, 12), "12 bits"),
        (jpeg_coded_as(0xC2, 12), "12 bits"),
        (jpeg_coded_as(0xC3, 10), "10 bits"),
        (jpeg_coded_as(0xC5), "Hierarchical"),
    ],
)
def test_a_jpeg_in_a_coding_that_the_decoder_lacks_is_unsupported(data: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedFormat, match=reason):
        shown(data)


@pytest.mark.parametrize(("frame", "bits"), [(0xC0, 12), (0xC1, 9), (0xC3, 17)])
def test_a_jpeg_with_an_impossible_number_of_bits_is_corrupt(frame: int, bits: int) -> None:
    with pytest.raises(CorruptImage):
        shown(jpeg_coded_as(frame, bits))


def bmp_of(*, bits: int, compression: int, masks: tuple[int, int, int] = (0, 0, 0), header: int = 40) -> bytes:
    """Build a BMP of one pixel, all zeros."""
    fields = struct.pack("<IiiHHIIIIIII", header, 1, 1, 1, bits, compression, 4, 0, 0, 0, 0, masks[0])
    return b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + fields + struct.pack("<II", *masks[1:]) + bytes(64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bmp_of(bits=32, compression=3, masks=(0x3FF00000, 0xFFC00, 0x3FF)), "masks"),
        (bmp_of(bits=16, compression=3, masks=(0xF00, 0xF0, 0xF)), "masks"),
        (bmp_of(bits=24, compression=5), "PNG"),
        (bmp_of(bits=2, compression=0), "2 bits"),
        (bmp_of(bits=24, compression=0, header=16), "OS/2"),
    ],
)
def test_a_bmp_in_a_layout_that_pillow_lacks_is_unsupported(data: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedFormat, match=reason):
        shown(data)


@pytest.mark.parametrize(
    "data",
    [
        bmp_of(bits=32, compression=3, masks=(0xFF0000, 0xFFF00, 0xFF)),
        bmp_of(bits=32, compression=3, masks=(0xF0F000, 0xF00, 0xFF)),
        bmp_of(bits=16, compression=3, masks=(0xFF0000, 0xFF00, 0xFF)),
        bmp_of(bits=24, compression=99),
        bmp_of(bits=13, compression=0),
    ],
    ids=["overlapping", "with a hole", "too large", "unknown compression", "13 bits"],
)
def test_a_bmp_whose_layout_makes_no_sense_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        shown(data)


@pytest.mark.parametrize(
    ("data", "coding"),
    [
        (heif_files.heif(heif_files.Item(b"avc1", b"-", (heif_files.ispe(8, 8),)), brand=b"heic"), "AVC"),
        (heif_files.heif(heif_files.Item(b"jpeg", b"-", (heif_files.ispe(8, 8),))), "JPEG"),
        (
            heif_files.heif(
                heif_files.grid(16, 8, rows=1, columns=2, first=2, announced=(16, 8)),
                *[heif_files.Item(b"jpeg", b"-", (heif_files.ispe(8, 8),))] * 2,
                brand=b"heic",
            ),
            "JPEG",
        ),
        (heif_files.heif(heif_files.hevc().item(120, 80)), "HEVC"),
    ],
    ids=["AVC", "JPEG", "grid of JPEG", "HEVC in AVIF"],
)
def test_other_codings_in_avif_and_heic_are_unsupported(data: bytes, coding: str) -> None:
    with pytest.raises(UnsupportedFormat, match=coding):
        shown(data)


def test_a_webp_with_very_many_pieces_is_corrupt() -> None:
    whole = pictures.encode(pictures.see_through(), "WEBP")
    first = whole[20:30]
    assert inspect(riff((b"VP8X", first), *[(b"JUNK", b"")] * (webp.MAX_CHUNKS - 1)), "webp")
    with pytest.raises(CorruptImage, match="chunks"):
        inspect(riff((b"VP8X", first), *[(b"JUNK", b"")] * webp.MAX_CHUNKS), "webp")


@pytest.mark.parametrize(
    ("name", "payload", "size"),
    [
        (b"VP8X", bytes(4) + b"\x02\x03\0" + b"\x04\0\0", (771, 5)),
        (b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 0xC000 | 300, 0x4000 | 200), (300, 200)),
        (b"VP8L", b"\x2f" + struct.pack("<I", 299 | 199 << 14 | 1 << 28), (300, 200)),
    ],
)
def test_the_size_of_a_webp_is_in_its_first_chunk(name: bytes, payload: bytes, size: tuple[int, int]) -> None:
    found = inspect(riff((name, payload)), "webp")

    assert (found.width, found.height) == size
    with pytest.raises(CorruptImage):
        inspect(riff((name, payload[:-2])), "webp")


@pytest.mark.parametrize(("flags", "bits"), [(0, 8), (0x40, 10), (0x60, 12)])
def test_the_bit_depth_of_an_avif_is_that_of_its_codec(flags: int, bits: int) -> None:
    data = bytearray(pictures.encode(pictures.scene(), "AVIF"))
    data[data.index(b"av1C") + 6] |= flags
    samples = data.index(b"pixi") + 9
    data[samples : samples + 3] = bytes([bits] * 3)

    info = FORMATS["avif"].open(bytes(data), LIMITS).info

    assert info == FileInfo(120, 80, bits, 1)


@pytest.mark.parametrize(
    "first", [(b"VP8X", b"123"), (b"VP8 ", bytes(40)), (b"VP8L", bytes(40)), (b"JUNK", bytes(40))]
)
def test_a_webp_without_a_size_is_corrupt(first: tuple[bytes, bytes]) -> None:
    with pytest.raises(CorruptImage):
        inspect(riff(first), "webp")


@pytest.mark.parametrize(("bits", "depth"), [(8, 8), (16, 5), (24, 8), (32, 8)])
def test_a_bmp_has_the_depth_of_its_samples(bits: int, depth: int) -> None:
    data = b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 3, 2, 1, bits, 0)

    assert inspect(data, "bmp") == FileInfo(3, 2, depth)
    with pytest.raises(CorruptImage, match="incomplete"):
        inspect(data[:-1], "bmp")


def test_a_bmp_with_an_os_2_header_is_read() -> None:
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 40_000, 1, 1, 24)
    pixels = bytes((*pictures.RED[::-1],)) * 40_000

    assert inspect(data + pixels, "bmp") == FileInfo(40_000, 1, 8)
    assert inspect(data + bytes(bmp.MAX_RUN_LENGTH_BYTES), "bmp"), "an OS/2 header declares no compression"
    result = decode(data + pixels, max_pixels=40_000, largest_side=300)
    assert result.for_captioning(9).getpixel((4, 4)) == pictures.RED


def test_a_run_length_coded_bmp_of_many_megabytes_is_corrupt() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 100, 100, 1, 8, 1, 0, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + header
    room = bytes(bmp.MAX_RUN_LENGTH_BYTES - len(data))
    assert inspect(data + room, "bmp").width == 100
    with pytest.raises(CorruptImage, match="run-length"):
        inspect(data + room + b"\0", "bmp")
    assert inspect(data.replace(struct.pack("<HHI", 1, 8, 1), struct.pack("<HHI", 1, 8, 0)) + room + b"\0", "bmp")


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "tiff"])
def test_a_picture_without_pixels_is_corrupt(kind: str) -> None:
    data = {
        "png": pictures.raw_png(0, 9, depth=8, color=2, rows=b""),
        "gif": b"GIF89a" + bytes(7) + b"," + struct.pack("<4HB", 0, 0, 0, 9, 0) + b"\2\0;",
        "bmp": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 9, 0, 1, 8, 0),
        "tiff": b"II*\0" + long(8) + directory((256, 4, 1, long(0)), (257, 4, 1, long(9))),
    }[kind]
    with pytest.raises(CorruptImage):
        inspect(data, kind)


def test_a_gif_is_read_up_to_its_truncation() -> None:
    data = pictures.animated("GIF")
    assert inspect(data, "gif").frames == 3
    assert inspect(data[:-1], "gif").frames == 3, "many files lack the trailer"
    assert inspect(data[:-4], "gif").frames == 2
    with pytest.raises(CorruptImage, match="no picture"):
        inspect(data[:13], "gif")


def test_a_top_down_bmp_has_a_positive_height() -> None:
    body = BytesIO()
    pictures.scene().save(body, "BMP")
    data = bytearray(body.getvalue())
    data[22:26] = struct.pack("<i", -80)
    assert inspect(bytes(data), "bmp").height == 80
