"""ISO base media files (ISO/IEC 14496-12), such as AVIF and HEIC: their boxes, and the sizes of coded pictures.

The size in the boxes (`ispe`) may be wrong, and decoders allocate memory for the coded picture. Everything is read
leniently and within bounds. Other errors are left to the decoders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from image_core.errors import CorruptImage, UnsupportedFormat
from image_processor.picture.formats import coded_size
from image_processor.picture.formats.coded_size import Size
from image_processor.picture.formats.image_file import HDR, HDR_TRANSFERS, DecodeLimits

MAX_ITEMS = 10_000
"""Limit for the items of a file, their locations and their properties. 100 megapixels in tiles of 512 × 512 have
400 items with a few properties each. Decoders compare each item with each other one."""
MAX_BOXES = 50_000
"""Limit for one list, such as the items of a file. 100 megapixels in tiles of 512 × 512 have 400 items."""
MAX_ITEM_BYTES = 4096
"""Number of bytes to read at the beginning of an item, where its size is."""
MAX_EXTENTS = 8
"""Number of pieces of an item that are read. Encoders write one. A piece may take no bytes in the table."""

_HEADER_BYTES = {b"meta": 4, b"stsd": 8, b"av01": 78, b"hvc1": 78, b"hev1": 78}
"""Number of bytes between a box's own header and the boxes in it."""
_CONFIGURATIONS = {b"av1C": coded_size.in_av1_configuration, b"hvcC": coded_size.in_hevc_configuration}
_ITEMS = {b"av01": coded_size.in_av1_data, b"grid": coded_size.of_grid}
_CODINGS = {
    b"av01": "AV1",
    b"avc1": "AVC",
    b"evc1": "EVC",
    b"hvc1": "HEVC",
    b"j2k1": "JPEG 2000",
    b"jpeg": "JPEG",
    b"unci": "uncompressed pixels",
    b"vvc1": "VVC",
}
"""Kinds of items with pixels. Other kinds are derived from them, or are metadata."""
_SAMPLE_TABLE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


class Box(NamedTuple):
    """A box. `start` and `end` are the offsets of its payload."""

    kind: bytes
    start: int
    end: int


def check_coded_sizes(data: bytes, limits: DecodeLimits) -> None:
    """Raise TooManyPixels if the coded size of any picture in the file is above the limit, CorruptImage if the file
    has too many items."""
    for numbers in (_item_kinds(data), _all_locations(data), _associations(data)):
        if next(islice(numbers, MAX_ITEMS, None), None) is not None:
            raise CorruptImage(f"The file has more than {MAX_ITEMS:,} items.")
    for width, height in _coded_sizes(data):
        if width and height:
            limits.check(width, height)


def check_coding(data: bytes, expected: bytes) -> None:
    """Raise UnsupportedFormat if the picture to show is not coded in items of the kind `expected`."""
    kinds = dict(_item_kinds(data))
    primary = kinds.get(_primary_item(data) or 0)
    codings = {kind for kind in ([primary] if primary in _CODINGS else kinds.values()) if kind in _CODINGS}
    if codings and expected not in codings:
        raise UnsupportedFormat(
            f"Pictures coded in {_CODINGS[min(codings)]} are not supported in this kind of file."
        )


def configurations(data: bytes) -> Iterator[Box]:
    """Yield the decoder configurations, `av1C` and `hvcC`, of the items and then of the tracks."""
    for path in ((b"meta", b"iprp", b"ipco"), (*_SAMPLE_TABLE, b"stsd", None)):
        yield from (box for box in _at(data, *path, None) if box.kind in _CONFIGURATIONS)


def properties(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the payloads of the properties of a kind, such as `irot`, that the primary item has."""
    primary = _primary_item(data)
    known = list(_at(data, b"meta", b"iprp", b"ipco", None))
    for item, index in _associations(data):
        if item == primary and 0 < index <= len(known) and known[index - 1].kind == kind:
            yield data[known[index - 1].start : known[index - 1].end]


def track_properties(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the payloads of the properties of a kind in the sample descriptions of AV1 tracks."""
    for box in _at(data, *_SAMPLE_TABLE, b"stsd", b"av01", kind):
        yield data[box.start : box.end]


def warnings(data: bytes) -> tuple[str, ...]:
    """Return HDR if the colors (`colr`) of the primary item or of a track say so."""
    for payload in chain(properties(data, b"colr"), track_properties(data, b"colr")):
        if payload[:4] == b"nclx" and int.from_bytes(payload[6:8], "big") in HDR_TRANSFERS:
            return (HDR,)
    return ()


def _coded_sizes(data: bytes) -> Iterator[Size]:
    for box in configurations(data):
        yield from _CONFIGURATIONS[box.kind](data[box.start : box.end][:MAX_ITEM_BYTES])
    for kind, item in _items(data):
        yield from _ITEMS[kind](item)
    for start in _chunks_of_av1(data):
        yield from coded_size.in_av1_data(data[start : start + MAX_ITEM_BYTES])


def _at(data: bytes, *path: bytes | None, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes at `path`, outermost first. None matches a box of any kind."""
    kind, *inner = path
    for box in islice(_boxes(data, start, len(data) if end is None else end), MAX_BOXES):
        if kind in (None, box.kind):
            if inner:
                yield from _at(data, *inner, start=box.start + _HEADER_BYTES.get(box.kind, 0), end=box.end)
            else:
                yield box


def _boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    while at + 8 <= end:
        size, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        stop = min(end, at + size) if size else end
        if stop < start:
            return
        yield Box(kind, start, stop)
        at = stop


def _items(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and first bytes of the items whose data contain a size."""
    kinds = {item: kind for item, kind in _item_kinds(data) if kind in _ITEMS}
    body = next(_at(data, b"meta", b"idat"), Box(b"idat", 0, 0))
    sources = {0: data, 1: data[body.start : body.end]}
    for item, source, extents in _all_locations(data):
        if item in kinds and source in sources:
            parts = (sources[source][at : at + min(size or MAX_ITEM_BYTES, MAX_ITEM_BYTES)] for at, size in extents)
            yield kinds[item], b"".join(parts)[:MAX_ITEM_BYTES]


def _chunks_of_av1(data: bytes) -> Iterator[int]:
    """Yield the offsets of the chunks of AV1 tracks. A chunk begins with a frame."""
    for table in _at(data, *_SAMPLE_TABLE):
        if any(_at(data, b"stsd", b"av01", start=table.start, end=table.end)):
            for size, kind in ((4, b"stco"), (8, b"co64")):
                for box in _at(data, kind, start=table.start, end=table.end):
                    places = range(box.start + 8, box.end - size + 1, size)
                    yield from (int.from_bytes(data[at : at + size], "big") for at in places[:MAX_BOXES])


def _item_kinds(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield id and kind of the items, from their entries (`infe`)."""
    for table in _at(data, b"meta", b"iinf"):
        start = table.start + (8 if data[table.start : table.start + 1] > b"\0" else 6)
        for entry in _at(data, b"infe", start=start, end=table.end):
            fields = _Fields(data[entry.start : entry.end][:16])
            version, _ = fields.next(1), fields.next(3)
            item, _ = fields.next(4 if version > 2 else 2), fields.next(2)
            yield item, fields.next(4).to_bytes(4, "big")


def _primary_item(data: bytes) -> int | None:
    """Return the id of the item to show, from the `pitm` box."""
    box = next(_at(data, b"meta", b"pitm"), None)
    if box is None:
        return None
    size = 4 if data[box.start : box.start + 1] > b"\0" else 2
    return int.from_bytes(data[box.start + 4 : min(box.start + 4 + size, box.end)], "big")


def _associations(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield id of an item and number, from 1, of a property, from the associations (`ipma`)."""
    for table in _at(data, b"meta", b"iprp", b"ipma"):
        fields = _Fields(data[table.start : table.end])
        version, flags = fields.next(1), fields.next(3)
        for _ in range(fields.next(4)):
            item = fields.next(4 if version else 2)
            for _ in range(fields.next(1)):
                yield item, fields.next(2) & 0x7FFF if flags & 1 else fields.next(1) & 0x7F
            if fields.at >= len(fields.data):
                break


@dataclass
class _Fields:
    """Reads consecutive numbers of whole bytes. They are 0 beyond the end."""

    data: bytes
    at: int = 0

    def next(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        return int.from_bytes(self.data[start : self.at], "big")


def _all_locations(data: bytes) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    tables = _at(data, b"meta", b"iloc")
    return chain.from_iterable(_locations(data[table.start : table.end]) for table in tables)


def _locations(table: bytes) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield id, construction method and the first extents (offset, length) of the items in an `iloc`."""
    fields = _Fields(table)
    version, _, sizes, more_sizes = (fields.next(size) for size in (1, 3, 1, 1))
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more_sizes >> 4
    index_size = more_sizes & 15 if version else 0
    for _ in range(fields.next(2 if version < 2 else 4)):
        item = fields.next(2 if version < 2 else 4)
        source = fields.next(2) & 15 if version else 0
        fields.next(2)
        base, number, extents = fields.next(base_size), fields.next(2), []
        for _ in range(min(number, MAX_EXTENTS)):
            fields.next(index_size)
            offset = fields.next(offset_size)
            extents.append((base + offset, fields.next(length_size)))
        fields.at += (number - len(extents)) * (index_size + offset_size + length_size)
        if fields.at > len(table):
            return
        yield item, source, extents
