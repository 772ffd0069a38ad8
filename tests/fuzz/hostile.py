"""Files that are built to break decoders: bombs, loops, wrong sizes, two formats in one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from image_core.formats import NAMES
from tests import exif_blocks, heif_files, pictures
from tests.fuzz.monitored_process import Limits
from tests.fuzz.png_chunks import SIGNATURE, chunk, header, png, zeros
from tests.heif_files import box

CORRUPT, TOO_MANY, UNSUPPORTED, SUCCESS = "corrupt_image", "too_many_pixels", "unsupported_format", "success"
MIB = 2**20

AS_DEPLOYED = Limits(max_pixels=100_000_000, seconds=30, peak_bytes=2_000_000_000, killed_after_seconds=120)
REFUSED = Limits(max_pixels=100_000_000, seconds=1, peak_bytes=20_000_000)
"""Limits for files that are refused from the header, before any decoding."""
SMALL = Limits(max_pixels=100_000_000, seconds=3, peak_bytes=64 * MIB)
LYING = Limits(max_pixels=1_000_000, seconds=1, peak_bytes=20_000_000)
HIDDEN = Limits(max_pixels=1_000_000, seconds=5, peak_bytes=300_000_000)
"""Limits for files that are found out while decoding, in a process with limits."""
HANGING = Limits(max_pixels=100_000_000, seconds=150, peak_bytes=2_000_000_000, killed_after_seconds=900)


@dataclass(frozen=True)
class HostileFile:
    """A file that is built when needed, with its expected outcomes and limits."""

    make: Callable[[], bytes]
    outcomes: frozenset[str]
    limits: Limits = field(default=SMALL)

    @property
    def slow(self) -> bool:
        """Whether it takes long: as large as allowed, or until the process is killed."""
        return self.limits in (AS_DEPLOYED, HANGING)


def _file(make: Callable[[], bytes] | bytes, outcomes: str, limits: Limits = SMALL) -> HostileFile:
    return HostileFile((lambda: make) if isinstance(make, bytes) else make, frozenset(outcomes.split()), limits)


PIXEL = chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))
"""The pixel data of a picture of 1 × 1."""


def png_with(*chunks: bytes) -> bytes:
    """Build a picture of one pixel with these chunks before it."""
    return png(header(1, 1), *chunks, PIXEL)


def png_of_zeros(width: int, height: int, *, depth: int = 8, color: int = 0, samples: int = 1) -> bytes:
    stride = 1 + (width * depth * samples + 7) // 8
    return png(header(width, height, depth=depth, color=color), chunk(b"IDAT", zeros(stride * height)))


def jpeg_of(width: int, height: int, *, scans: int = 0, progressive: bool = True) -> bytes:
    """Build a picture of 16 × 16 that claims to be larger. `scans` repeats its last scan that many times."""
    data = pictures.jpeg(16, 16, progressive=progressive)
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * max(1, scans) + data[-2:]


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """Build a picture with more segments at its start: marker, payload."""
    data = pictures.jpeg(16, 16)
    more = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return data[:2] + more + data[2:]


def gif_of(width: int, height: int, frames: int, *, frame: tuple[int, int] = (1, 1)) -> bytes:
    one = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    colors = bytes(6)
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + colors + one * frames + b"\x3b"


def webp_of(width: int, height: int) -> bytes:
    """Build a lossless picture of one color: every code has one symbol, so that pixels need no bits at all."""
    bits = (width - 1) | (height - 1) << 14
    body = (
        b"\x2f" + bits.to_bytes(4, "little") + (sum(0b0001 << 4 * i for i in range(5)) << 3).to_bytes(4, "little")
    )
    return _riff(_riff_chunk(b"VP8L", body + bytes(4)))


def webp_canvas(width: int, height: int, picture: bytes) -> bytes:
    """Build an extended header with one size, followed by a picture of another size."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(_riff_chunk(b"VP8X", bytes(4) + sizes) + picture[12:])


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def tiff(
    *entries: tuple[int, int, int, int], following: int = 0, order: str = "<", more: bytes = b"", data: bytes = b""
) -> bytes:
    """Build one directory at offset 8: tag, type, count, value. `data` follow directly after it."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    body = struct.pack(f"{order}H", len(entries) + len(more) // 12)
    for tag, kind, count, value in entries:
        body += struct.pack(f"{order}HHI", tag, kind, count)
        body += struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
    return head + body + more + struct.pack(f"{order}I", following) + data


def tiff_of(
    width: int,
    height: int,
    *,
    compression: int = 1,
    data: bytes = b"\0",
    following: int = 0,
    strips: int = 1,
    bits: int = 8,
) -> bytes:
    at = 8 + 2 + 12 * 9 + 4
    return tiff(
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, strips, at),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, strips, len(data) if strips == 1 else at),
        following=following,
        data=data,
    )


def bmp_of(
    width: int, height: int, *, bits: int = 24, compression: int = 0, colors: int = 0, data: bytes = b""
) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + info + data


def tiff_of_jpeg(jpeg: bytes, width: int, height: int, *, compression: int = 7) -> bytes:
    """Build one strip that is a JPEG, whatever its size."""
    return tiff_of(width, height, compression=compression, data=jpeg)


def avif_saying(width: int, height: int) -> bytes:
    data = pictures.encode(pictures.scene(16, 16), "AVIF", speed=10)
    sizes = data.index(b"ispe") + 8
    return data[:sizes] + struct.pack(">II", width, height) + data[sizes + 8 :]


def many_properties() -> bytes:
    """Build an AVIF whose items have every property again and again."""
    data = pictures.encode(pictures.scene(16, 16), "AVIF", speed=10)
    one = struct.pack(">HB", 1, 255) + b"\1" * 255
    table = box(b"ipma", bytes(4), struct.pack(">I", 40_000), one * 40_000)
    properties = data.index(b"ipma") - 4
    length = int.from_bytes(data[properties : properties + 4], "big")
    longer = bytearray(data[:properties] + table + data[properties + length :])
    for name in (b"meta", b"iprp"):
        at = data.index(name) - 4
        size = int.from_bytes(data[at : at + 4], "big") + len(table) - length
        longer[at : at + 4] = struct.pack(">I", size)
    return bytes(longer)


def empty_pieces() -> bytes:
    """Build an AVIF whose second table of locations has very many extents of no bytes."""
    table = struct.pack(">H", 100) + struct.pack(">HHH", 1, 0, 65_535) * 100
    more = heif_files.full_box(b"meta", heif_files.full_box(b"iloc", b"\0\0", table))
    return heif_files.heif(heif_files.av1(4_096, 4_096).item(64, 64))[:-200] + more


def many_items() -> bytes:
    """Build an AVIF that lists 20,000 items. libavif's time would grow with the square of their number."""
    entry = heif_files.full_box(b"infe", struct.pack(">HH", 1, 0), b"av01\0", version=2)
    table = heif_files.full_box(b"iinf", struct.pack(">H", 20_000), entry * 20_000)
    return heif_files.heif(heif_files.av1(64, 64).item(64, 64)) + heif_files.full_box(b"meta", table)


def jpegs_with_long_headers() -> bytes:
    strips, table_at = 5000, 122
    header = b"\xff\xd8" + b"\xff\xe0\0\2" * 4000
    offsets = struct.pack("<I", table_at + 4 * strips) * strips
    return tiff_of(16, 16, compression=7, strips=strips, data=offsets + header)


def spaces_behind_a_date() -> bytes:
    text = b"2024:06:30 12:30:00" + b" " * 16_000 + b"x\0"
    return pictures.jpeg(16, 16, exif=exif_blocks.block(exif=[exif_blocks.text(0x9003, text)]))


def nested_boxes(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box(b"moov", body)
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + body


_JPEG = pictures.jpeg(16, 16)
_BROKEN = f"{CORRUPT} {TOO_MANY}"
_ANY = f"{SUCCESS} {CORRUPT} {TOO_MANY}"

HOSTILE_FILES: dict[str, HostileFile] = {
    "nothing": _file(b"", CORRUPT, REFUSED),
    **{
        f"one byte, {value:#04x}": _file(bytes([value]), UNSUPPORTED, REFUSED) for value in (0x00, 0x42, 0x89, 0xFF)
    },
    "a megabyte of zeros": _file(bytes(MIB), UNSUPPORTED, REFUSED),
    **{
        f"{name} signature alone": _file(head, CORRUPT, REFUSED)
        for name, head in {
            "jpeg": b"\xff\xd8\xff",
            "png": SIGNATURE,
            "gif": b"GIF89a",
            "webp": b"RIFF\xff\xff\xff\xffWEBP",
            "tiff": b"II*\0",
            "avif": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
            "heic": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1",
            "bmp": b"BM" + bytes(12) + b"\x28\0\0\0",
        }.items()
        if name in NAMES
    },
    # Other formats that Pillow or libheif could open
    "text": _file(pictures.TEXT, UNSUPPORTED, REFUSED),
    "svg": _file(pictures.SVG, UNSUPPORTED, REFUSED),
    "pdf": _file(pictures.PDF, UNSUPPORTED, REFUSED),
    "postscript": _file(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", UNSUPPORTED, REFUSED),
    "photoshop": _file(b"8BPS\0\1" + bytes(80), UNSUPPORTED, REFUSED),
    **{
        kind: _file(partial(pictures.encode, pictures.scene(16, 16), kind), UNSUPPORTED, REFUSED)
        for kind in ("ICO", "JPEG2000", "PPM", "TGA", "PCX", "ICNS", "DDS", "QOI")
    },
    # PNG
    "png text bomb": _file(lambda: png_with(chunk(b"zTXt", b"Comment\0\0" + zeros(1 << 30))), _ANY),
    "png international text bomb": _file(
        lambda: png_with(chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros(1 << 30))), _ANY
    ),
    "png of many text bombs": _file(
        lambda: png_with(*[chunk(b"zTXt", b"Comment\0\0" + zeros(1 << 20))] * 2_000), _ANY
    ),
    "png color profile bomb": _file(lambda: png_with(chunk(b"iCCP", b"icc\0\0" + zeros(1 << 30))), _ANY),
    "png with a gigabyte behind its one pixel": _file(
        lambda: png(header(1, 1), chunk(b"IDAT", zeros(1 << 30))), _ANY
    ),
    "png of a million pieces": _file(lambda: png(header(1, 1), *[chunk(b"IDAT", b"")] * 1_000_000, PIXEL), _BROKEN),
    "png of many pieces with wrong checksums": _file(
        lambda: png_with(*[chunk(b"teXt", b"")[:-1] + b"?"] * 90_000), SUCCESS
    ),
    "png with a million texts": _file(lambda: png_with(*[chunk(b"tEXt", b"a\0b")] * 1_000_000), _BROKEN),
    "png that is 2³¹ wide": _file(png(header(2**31 - 1, 1), PIXEL), TOO_MANY, REFUSED),
    "png of 2³¹ times 2³¹": _file(png(header(2**31 - 1, 2**31 - 1), PIXEL), TOO_MANY, REFUSED),
    "png wider than 2³¹": _file(png(header(2**32 - 1, 1), PIXEL), _BROKEN, REFUSED),
    "png of no width": _file(png(header(0, 1), PIXEL), CORRUPT, REFUSED),
    "png a pixel too large": _file(lambda: png_of_zeros(10_000, 10_001), TOO_MANY, REFUSED),
    "png of a hundred megapixels": _file(lambda: png_of_zeros(10_000, 10_000), SUCCESS, AS_DEPLOYED),
    "png of a hundred megapixels, 16 bits, alpha": _file(
        lambda: png_of_zeros(10_000, 10_000, depth=16, color=6, samples=4), SUCCESS, AS_DEPLOYED
    ),
    "png with a second, huge header": _file(png(header(1, 1), header(60_000, 60_000), PIXEL), _BROKEN, REFUSED),
    "png without pixels": _file(png(header(1, 1)), CORRUPT),
    "png whose header comes last": _file(png(PIXEL, header(1, 1)), CORRUPT),
    "png of a depth that does not exist": _file(png(header(1, 1, depth=3), PIXEL), CORRUPT),
    "png chunk longer than the file": _file(
        SIGNATURE + header(1, 1) + chunk(b"IDAT", b"", length=2**31 - 1), CORRUPT
    ),
    "animated png of 2³¹ frames": _file(
        png_with(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))), TOO_MANY, REFUSED
    ),
    "png exif that repeats a megabyte": _file(
        lambda: png_with(chunk(b"eXIf", exif_blocks.bomb(60_000, MIB)[6:])), SUCCESS
    ),
    # JPEG
    "jpeg of 65,535 times 65,535": _file(lambda: jpeg_of(65_535, 65_535), TOO_MANY, REFUSED),
    "jpeg of no height": _file(lambda: jpeg_of(16, 0), CORRUPT, REFUSED),
    "jpeg of ten thousand scans": _file(lambda: jpeg_of(10_000, 10_000, scans=10_000), TOO_MANY, REFUSED),
    "jpeg of ninety scans of a hundred megapixels": _file(
        lambda: jpeg_of(10_000, 10_000, scans=80), _ANY, AS_DEPLOYED
    ),
    "jpeg of as many scans as allowed without an end": _file(
        lambda: jpeg_of(10_000, 10_000, scans=11)[:-2], _ANY, AS_DEPLOYED
    ),
    "large jpeg without an end": _file(lambda: jpeg_of(10_000, 10_000, progressive=False)[:-2], _ANY, AS_DEPLOYED),
    "jpeg that says it is large": _file(lambda: jpeg_of(10_000, 10_000, progressive=False), _ANY, AS_DEPLOYED),
    "jpeg of forty thousand comments": _file(lambda: jpeg_with(*[(0xFE, b"x" * 1_000)] * 40_000), _ANY),
    "jpeg of seven hundred exif segments": _file(
        lambda: jpeg_with(*[(0xE1, b"Exif\0\0" + bytes(65_000))] * 700), _ANY
    ),
    "jpeg exif that repeats itself": _file(lambda: jpeg_with((0xE1, exif_blocks.bomb(4_000, 15_000))), SUCCESS),
    "jpeg profile in 255 of 65,535 pieces": _file(
        lambda: jpeg_with(*[(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000))] * 255), _ANY
    ),
    "jpeg with an archive behind it": _file(_JPEG + b"PK\3\4" + bytes(10_000), SUCCESS),
    "jpeg in a jpeg's exif": _file(lambda: jpeg_with((0xE1, b"Exif\0\0" + _JPEG)), SUCCESS),
    "jpeg of ten million fill bytes": _file(lambda: _JPEG[:2] + b"\xff" * 10_000_000 + _JPEG[2:], _ANY),
    "jpeg with junk between its segments": _file(lambda: _JPEG[:20] + bytes(10_000_000) + _JPEG[20:], _BROKEN),
    "mpo that counts to 2³²": _file(
        lambda: pictures.mpo().replace(b"\x01\xb0\x04\x00\x01\0\0\0", b"\x01\xb0\x04\x00\xff\xff\xff\xff"), _ANY
    ),
    # GIF
    "gif of 65,535 times 65,535": _file(gif_of(65_535, 65_535, 1), TOO_MANY, REFUSED),
    "gif whose frame is larger than itself": _file(gif_of(1, 1, 1, frame=(65_535, 65_535)), _BROKEN),
    "gif of a million frames": _file(lambda: gif_of(1, 1, 1_000_000), TOO_MANY, REFUSED),
    "gif of a million crumbs": _file(
        lambda: gif_of(1, 1, 1)[:-1] + b"\x21\xfe" + b"\x01x" * 1_000_000 + b"\0\x3b", _ANY
    ),
    "gif of a hundred megapixels in a few bytes": _file(gif_of(10_000, 10_000, 1), _ANY, AS_DEPLOYED),
    "gif of no size": _file(gif_of(0, 0, 1, frame=(0, 0)), CORRUPT, REFUSED),
    # WebP
    "webp of 16,383 times 16,383": _file(webp_of(16_383, 16_383), TOO_MANY, REFUSED),
    "webp of a hundred megapixels in forty bytes": _file(webp_of(10_000, 10_000), SUCCESS, AS_DEPLOYED),
    "webp a pixel too large": _file(webp_of(10_000, 10_001), TOO_MANY, REFUSED),
    "webp larger than its canvas": _file(webp_canvas(1, 1, webp_of(16_383, 16_383)), _BROKEN, REFUSED),
    "webp smaller than its canvas": _file(webp_canvas(9_000, 9_000, webp_of(1, 1)), _ANY, AS_DEPLOYED),
    "webp of 2²⁴ times 2²⁴": _file(webp_canvas(1 << 24, 1 << 24, webp_of(1, 1)), _BROKEN, REFUSED),
    # TIFF
    "tiff whose directory follows itself": _file(tiff_of(1, 1, following=8), _ANY),
    "tiff whose directory is beyond the file": _file(b"II*\0" + b"\xff" * 4 + bytes(100), CORRUPT),
    "tiff of 2³² times 2³²": _file(tiff_of(2**32 - 1, 2**32 - 1), _BROKEN, REFUSED),
    "tiff of no size": _file(tiff_of(0, 0), CORRUPT, REFUSED),
    "tiff of four billion strips": _file(tiff_of(100, 100, strips=2**32 - 1), CORRUPT),
    "tiff of 65,535 bits a sample": _file(tiff_of(1, 1, bits=65_535), _BROKEN),
    "tiff that says it is large": _file(tiff_of(10_000, 10_000), CORRUPT, AS_DEPLOYED),
    "tiff of a hundred megapixels, deflated": _file(
        lambda: tiff_of(10_000, 10_000, compression=8, data=zeros(100_000_000)), SUCCESS, AS_DEPLOYED
    ),
    "tiff with a gigabyte in a strip of one pixel": _file(
        lambda: tiff_of(1, 1, compression=8, data=zeros(1 << 30)), _ANY
    ),
    "tiff with two widths": _file(
        lambda: tiff((256, 4, 1, 1), (256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (262, 3, 1, 1)),
        _BROKEN,
    ),
    "tiff of 65,535 entries that share its bytes": _file(
        lambda: b"II*\0" + exif_blocks.bomb(60_000, MIB)[10:], CORRUPT
    ),
    "tiff of a tile as large as all": _file(
        lambda: tiff(
            (256, 4, 1, 8),
            (257, 4, 1, 8),
            (258, 3, 1, 8),
            (259, 3, 1, 8),
            (262, 3, 1, 1),
            (322, 4, 1, 1 << 20),
            (323, 4, 1, 1 << 20),
            (324, 4, 1, 8),
            (325, 4, 1, 8),
        ),
        _BROKEN,
    ),
    "bigtiff that counts to 2⁶³": _file(b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + bytes(100), CORRUPT),
    "tiff of ten thousand directories": _file(
        lambda: (
            b"II*\0\x08\0\0\0"
            + b"".join(struct.pack("<HI", 0, 8 + 6 * (i + 1)) for i in range(20_000))
            + struct.pack("<HI", 0, 0)
        ),
        _BROKEN,
    ),
    **{
        f"tiff of a small picture that is a huge {kind} jpeg": _file(
            partial(tiff_of_jpeg, jpeg_of(65_500, 65_500, progressive=kind == "progressive"), 65_500, 15),
            TOO_MANY,
            LYING,
        )
        for kind in ("baseline", "progressive")
    },
    "tiff of a small picture that is a huge jpeg in the old way": _file(
        tiff_of_jpeg(jpeg_of(65_500, 65_500), 65_500, 15, compression=6), TOO_MANY, LYING
    ),
    # BMP
    "bmp of 2³¹ times 2³¹": _file(bmp_of(2**31 - 1, 2**31 - 1), TOO_MANY, REFUSED),
    "bmp of the least height there is": _file(bmp_of(1, -(2**31)), _BROKEN, REFUSED),
    "bmp of negative width": _file(bmp_of(-5, 5, data=bytes(100)), _ANY),
    "bmp that says it is large": _file(bmp_of(10_000, 10_000, data=bytes(100)), CORRUPT, AS_DEPLOYED),
    "bmp of four billion colors": _file(bmp_of(1, 1, bits=8, colors=2**32 - 1, data=bytes(100)), _ANY),
    "bmp run that covers a hundred megapixels": _file(
        bmp_of(10_000, 10_000, bits=8, compression=1, data=b"\xff\1" * 1_000 + b"\0\1"), _ANY, AS_DEPLOYED
    ),
    "bmp of skips": _file(
        bmp_of(10_000, 10_000, bits=8, compression=1, data=b"\0\2\xff\xff" * 1_000 + b"\0\1"), _ANY, AS_DEPLOYED
    ),
    # AVIF, HEIC
    "avif that says it is 65,535 times 65,535": _file(lambda: avif_saying(65_535, 65_535), _BROKEN, REFUSED),
    "avif that says it is large": _file(lambda: avif_saying(10_000, 10_000), _ANY, AS_DEPLOYED),
    "avif of ten million properties of an item": _file(many_properties, _ANY),
    "avif of ten thousand nested boxes": _file(lambda: nested_boxes(10_000), CORRUPT),
    "avif of a hundred thousand boxes": _file(
        lambda: box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(b"free", b"") * 100_000, CORRUPT
    ),
    "avif of many empty pieces": _file(empty_pieces, CORRUPT, REFUSED),
    "avif of many items": _file(many_items, CORRUPT, REFUSED),
    "tiff of many jpegs with long headers": _file(jpegs_with_long_headers, _ANY),
    "jpeg with many spaces behind a date": _file(spaces_behind_a_date, SUCCESS, REFUSED),
    "heic of nested boxes": _file(lambda: nested_boxes(10_000).replace(b"avif", b"heic"), CORRUPT),
    "heic that is an avif": _file(
        lambda: pictures.encode(pictures.scene(16, 16), "AVIF").replace(b"ftypavif", b"ftypheic", 1), UNSUPPORTED
    ),
    "avif coded larger than it says": _file(
        lambda: heif_files.heif(heif_files.av1(4_096, 4_096).item(64, 64)), TOO_MANY, LYING
    ),
    "avif whose configuration tells a huge size": _file(
        lambda: heif_files.heif(
            replace(
                heif_files.av1(64, 64),
                configuration=heif_files.av1_configuration(heif_files.sequence_header(65_536, 65_536)),
            ).item(64, 64)
        ),
        TOO_MANY,
        LYING,
    ),
    "avif that starts with a huge sequence and continues with a small one": _file(
        lambda: heif_files.heif(
            replace(
                heif_files.av1(64, 64),
                data=heif_files.sequence_header(65_536, 65_536) + heif_files.av1(64, 64).data,
            ).item(64, 64)
        ),
        TOO_MANY,
        LYING,
    ),
    "avif that hides a huge size behind padding": _file(
        lambda: heif_files.heif(heif_files.padded(heif_files.av1(9_000, 9_000)).item(64, 64)), CORRUPT, HIDDEN
    ),
    "avif of a hundred large frames in one item": _file(
        lambda: heif_files.heif(
            replace(heif_files.av1(1_000, 1_000), data=heif_files.av1(1_000, 1_000).data * 100).item(64, 64)
        ),
        _ANY,
        HIDDEN,
    ),
    "heic whose configuration tells a huge size": _file(
        lambda: heif_files.heif(
            replace(heif_files.hevc(), configuration=heif_files.hevc_configuration(16_384, 16_384)).item(64, 64),
            brand=b"heic",
        ),
        TOO_MANY,
        LYING,
    ),
    "heic put together to a picture larger than it says": _file(
        lambda: heif_files.heif(
            heif_files.grid(30_000, 20_400, rows=30, columns=30, first=2, announced=(64, 64)),
            *[heif_files.hevc().item(120, 80)] * 900,
            brand=b"heic",
        ),
        TOO_MANY,
        LYING,
    ),
    "heic of a hundred million tiles in grids of grids": _file(
        lambda: heif_files.nested_grids(8, 10), CORRUPT, HANGING
    ),
}
