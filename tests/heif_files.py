"""Build AVIF and HEIC files box by box, so that each part can claim a wrong size."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from functools import cache

from PIL import Image

from image_processor.picture.formats import isobmff
from tests import pictures


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *parts)


@dataclass(frozen=True)
class Item:
    """An image item: its kind, data and properties (boxes), and the numbers of the items that it consists of."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...] = ()
    tiles: tuple[int, ...] = field(default=())


def heif(*items: Item, brand: bytes = b"avif") -> bytes:
    """Build a file of these items, numbered from 1. The first is the primary item."""
    numbers = range(1, len(items) + 1)
    properties = list(dict.fromkeys(one for item in items for one in item.properties))
    associations = b"".join(
        struct.pack(">HB", number, len(item.properties))
        + bytes(0x81 + properties.index(one) for one in item.properties)
        for number, item in zip(numbers, items, strict=True)
    )
    entries = [
        full_box(b"infe", struct.pack(">HH", number, 0), item.kind, b"\0", version=2)
        for number, item in zip(numbers, items, strict=True)
    ]
    references = [
        box(b"dimg", struct.pack(f">HH{len(item.tiles)}H", number, len(item.tiles), *item.tiles))
        for number, item in zip(numbers, items, strict=True)
        if item.tiles
    ]
    starts = [sum(len(item.data) for item in items[:number]) for number in range(len(items))]

    def meta(data_start: int) -> bytes:
        locations = b"".join(
            struct.pack(">HHHII", number, 0, 1, data_start + start, len(item.data))
            for number, item, start in zip(numbers, items, starts, strict=True)
        )
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">H", 1)),
            full_box(b"iloc", b"\x44\0", struct.pack(">H", len(items)), locations),
            full_box(b"iinf", struct.pack(">H", len(items)), *entries),
            *([full_box(b"iref", *references)] if references else []),
            box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", struct.pack(">I", len(items)), associations)),
        )

    head = box(b"ftyp", brand, bytes(4), brand, b"mif1miaf")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", *(item.data for item in items))


def ispe(width: int, height: int) -> bytes:
    """Build the box that announces a size."""
    return full_box(b"ispe", struct.pack(">II", width, height))


def clap(
    width: int, height: int, *, right: int = 0, below: int = 0, width_unit: int = 1, offset_unit: int = 2
) -> bytes:
    """Build a clean aperture. `right` and `below` are twice the offset of its center."""
    return box(
        b"clap", struct.pack(">IIIIiIiI", width, width_unit, height, 1, right, offset_unit, below, offset_unit)
    )


@dataclass(frozen=True)
class Coded:
    """A coded picture: the kind of its item, its decoder configuration (a box) and its data."""

    kind: bytes
    configuration: bytes
    data: bytes

    def item(self, width: int, height: int) -> Item:
        """Return an item of this picture that announces this size."""
        return Item(self.kind, self.data, (ispe(width, height), self.configuration))


@cache
def av1(width: int, height: int, **options: object) -> Coded:
    """Code a picture of one color in AV1."""
    data = pictures.encode(Image.new("RGB", (width, height), "red"), "AVIF", speed=10, **options)
    return _coded(b"av01", data)


def coded_in_av1(picture: Image.Image) -> Coded:
    """Code a picture in AV1, almost without loss."""
    return _coded(b"av01", pictures.encode(picture, "AVIF", speed=10, quality=95, subsampling="4:4:4"))


@cache
def hevc() -> Coded:
    """Return the scene, 120 × 80, coded in HEVC."""
    return _coded(b"hvc1", pictures.heic("ten_bits"))


def _coded(kind: bytes, data: bytes) -> Coded:
    configuration = next(isobmff.configurations(data))
    payload = data[data.index(b"mdat") + 4 :]
    return Coded(kind, box(configuration.kind, data[configuration.start : configuration.end]), payload)


def grid(width: int, height: int, *, rows: int, columns: int, first: int, announced: tuple[int, int]) -> Item:
    """Build a picture that consists of tiles, of which the first is the item numbered `first`."""
    body = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    return Item(b"grid", body, (ispe(*announced),), tuple(range(first, first + rows * columns)))


def nested_grids(levels: int, tiles: int) -> bytes:
    """Build a HEIC of grids whose tiles are grids. It has `tiles` to the power of `levels` tiles to decode."""
    size = 120, 80
    one = struct.pack(">BBBBII", 0, 1, 0, tiles - 1, *size)
    grids = [
        Item(b"grid", one, (ispe(*size),), tuple(range(2 + tiles * level, 2 + tiles * (level + 1))))
        for level in range(levels)
    ]
    inner = [grid for grid in grids[1:] for _ in range(tiles)]
    return heif(grids[0], *inner, *[hevc().item(*size)] * tiles, brand=b"heic")


def padded(coded: Coded, units: int = 60) -> Coded:
    """Put so much padding before the sequence header that the inspection does not find it."""
    return replace(coded, data=obu(15, bytes(100) + b"\x80") * units + coded.data)


def sequence_header(width: int, height: int) -> bytes:
    """Build an OBU: AV1's sequence header of a still picture in 8 bits, 4:2:0."""
    bits = "000" + "11" + "01000" + "1111" * 2 + f"{width - 1:016b}{height - 1:016b}" + "0" * 3 + "0" * 3 + "0"
    bits += "0" * 7 + "1"
    return obu(1, _bytes(bits))


def obu(kind: int, payload: bytes) -> bytes:
    """Build an AV1 unit of up to 127 bytes."""
    return bytes([kind << 3 | 2, len(payload)]) + payload


def av1_configuration(*obus: bytes) -> bytes:
    return box(b"av1C", b"\x81\x08\x0c\0", *obus)


def hevc_configuration(width: int, height: int) -> bytes:
    """Build an `hvcC` whose sequence parameter set contains this size, and is complete up to it."""
    bits = "0" * 4 + "000" + "1" + "0" * 96 + _exp_golomb(0) + _exp_golomb(1) + _exp_golomb(width)
    unit = b"\x42\1" + _bytes(bits + _exp_golomb(height) + "1").replace(b"\0\0", b"\0\0\3")
    return box(b"hvcC", bytes(22), struct.pack(">BBHH", 1, 33, 1, len(unit)), unit)


def _exp_golomb(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def _bytes(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
