"""Hypothesis strategies for damaged variants of valid files."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from hypothesis import strategies as st

from tests import heif_files
from tests.fuzz import png_chunks
from tests.fuzz.corpus import FORMATS, corpus
from tests.fuzz.structure import Part, parts_of

Draw = Callable[[st.SearchStrategy[Any]], Any]

MAX_BYTES = 1_000_000
_SIGNATURE_BYTES = {"jpeg": 3, "png": 8, "webp": 12, "gif": 6, "avif": 12, "heic": 12, "tiff": 4, "bmp": 2}
_BYTES = st.sampled_from([0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF])


@st.composite
def mutated(draw: Draw, kind: str | None = None) -> bytes:
    """Draw a file of that format (or any), changed in one to four ways, from one bit to half a file."""
    files = corpus()
    kind = kind or draw(st.sampled_from([name for name in FORMATS if files[name]]))
    original: bytes = draw(st.sampled_from(files[kind]))
    data = original
    for change in draw(st.lists(st.sampled_from(_CHANGES), min_size=1, max_size=4)):
        data = change(draw, data)[:MAX_BYTES]
    # Otherwise nearly half of the files would be refused immediately. Hypothesis prefers 0, so 0 must not mean
    # that.
    if draw(st.integers(0, 15)) != 11:
        data = original[: _SIGNATURE_BYTES[kind]] + data[_SIGNATURE_BYTES[kind] :]
    # Otherwise most changes to a PNG end at a checksum, and to a WebP at its length.
    return repaired(data) if draw(st.integers(0, 3)) != 2 else data


def repaired(data: bytes) -> bytes:
    """Return the file with the checksums of a PNG, or the length of a RIFF, corrected."""
    if data.startswith(b"RIFF"):
        return data[:4] + max(0, len(data) - 8).to_bytes(4, "little") + data[8:]
    if not data.startswith(png_chunks.SIGNATURE):
        return data
    whole = bytearray(data)
    for part in parts_of(data)[1:]:
        whole[part.end - 4 : part.end] = zlib.crc32(data[part.start + 4 : part.end - 4]).to_bytes(4, "big")
    return bytes(whole)


def _place(draw: Draw, data: bytes) -> int:
    """Draw a position anywhere, but in the first bytes as often as in all others together."""
    last = max(0, len(data) - 1)
    return int(draw(st.one_of(st.integers(0, min(last, 128)), st.integers(0, last))))


def _part(draw: Draw, data: bytes) -> Part:
    parts = parts_of(data)
    if parts:
        return parts[draw(st.integers(0, len(parts) - 1))]
    start = _place(draw, data)
    return Part(start, min(len(data), start + draw(st.integers(1, 64))), start)


def _flip_bits(draw: Draw, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 8)) if data else 0):
        changed[_place(draw, data)] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def _set_bytes(draw: Draw, data: bytes) -> bytes:
    start, length = _place(draw, data), draw(st.integers(1, 16))
    fill = draw(
        st.one_of(st.binary(min_size=length, max_size=length), _BYTES.map(lambda one: bytes([one]) * length))
    )
    return data[:start] + fill + data[start + length :]


def _set_field(draw: Draw, data: bytes) -> bytes:
    """Change a length, a count, a dimension or an offset."""
    fields = [field for part in parts_of(data) for field in part.fields]
    if not fields:
        return _set_bytes(draw, data)
    field = fields[draw(st.integers(0, len(fields) - 1))]
    top = 256**field.size
    now = int.from_bytes(data[field.at : field.at + field.size], field.order)  # type: ignore[arg-type]
    value = draw(
        st.one_of(
            st.sampled_from([0, 1, 2, top - 1, top // 2, top // 2 - 1, len(data), 16_383, 65_535, 10_000, 1_900]),
            st.integers(-4, 4).map(lambda step: now + step),
            st.integers(0, top - 1),
        )
    )
    packed = (value % top).to_bytes(field.size, field.order)  # type: ignore[arg-type]
    return data[: field.at] + packed + data[field.at + field.size :]


def _cut(draw: Draw, data: bytes) -> bytes:
    """Truncate at the edge of a part, a few bytes next to it, or anywhere."""
    part = _part(draw, data)
    edge = draw(st.sampled_from([part.start, part.payload, part.end])) + draw(st.integers(-3, 3))
    return data[: max(1, draw(st.sampled_from([edge, _place(draw, data)])))]


def _remove(draw: Draw, data: bytes) -> bytes:
    part = _part(draw, data)
    return data[: part.start] + data[part.end :]


def _repeat(draw: Draw, data: bytes) -> bytes:
    part = _part(draw, data)
    times = draw(st.sampled_from([1, 2, 3, 10, 300]))
    part_bytes = data[part.start : part.end]
    return data[: part.end] + part_bytes * min(times, MAX_BYTES // max(1, len(part_bytes)) + 1) + data[part.end :]


def _swap(draw: Draw, data: bytes) -> bytes:
    one, other = sorted((_part(draw, data), _part(draw, data)), key=lambda part: part.start)
    if one.end > other.start:
        return _remove(draw, data)
    between = data[one.end : other.start]
    swapped = data[other.start : other.end] + between + data[one.start : one.end]
    return data[: one.start] + swapped + data[other.end :]


def _other(draw: Draw) -> bytes:
    files = corpus()
    return bytes(draw(st.sampled_from(files[draw(st.sampled_from([name for name in FORMATS if files[name]]))])))


def _splice(draw: Draw, data: bytes) -> bytes:
    """Combine the start of this file with the end of another, or insert a part of another."""
    other = _other(draw)
    own_part, other_part = _part(draw, data), _part(draw, other)
    if draw(st.booleans()):
        return data[: own_part.end] + other[other_part.start :]
    return (
        data[: own_part.start]
        + other[other_part.start : other_part.end]
        + data[draw(st.sampled_from([own_part.start, own_part.end])) :]
    )


def _fill(draw: Draw, data: bytes) -> bytes:
    """Fill a payload with one byte, empty it, or make it longer."""
    part = _part(draw, data)
    payload = data[part.payload : part.end]
    fill = bytes([draw(_BYTES)]) * draw(st.sampled_from([0, len(payload), len(payload) * 3, 5_000]))
    return data[: part.payload] + fill + data[part.end :]


def _damage_declared_size(draw: Draw, data: bytes) -> bytes:
    """Damage the declared size of the EXIF or the color profile, wherever they are in the file."""
    profile = data.find(b"acsp") - 36
    exif = max(data.find(b"Exif\0\0"), data.find(b"II*\0", 20), data.find(b"MM\0*", 20))
    starts = [at for at in (profile, exif) if at >= 0]
    if not starts:
        return _flip_bits(draw, data)
    start = draw(st.sampled_from(starts))
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 12))):
        at = start + draw(st.integers(0, 400))
        if at < len(changed):
            changed[at] = draw(st.one_of(_BYTES, st.integers(0, 255)))
    return bytes(changed)


def _damage_deflated(draw: Draw, data: bytes) -> bytes:
    """Damage the compressed content of a PNG chunk: filters, pixels, profiles."""
    packed = [
        (part, prefix)
        for part in parts_of(data)[1:]
        if data.startswith(png_chunks.SIGNATURE)
        and (prefix := _deflated_from(data[part.start + 4 : part.start + 8], data[part.payload : part.end - 4]))
        is not None
    ]
    if not packed:
        return _set_bytes(draw, data)
    part, prefix = packed[draw(st.integers(0, len(packed) - 1))]
    body = data[part.payload : part.end - 4]
    try:
        inner = zlib.decompressobj().decompress(body[prefix:], MAX_BYTES)
    except zlib.error:
        return _set_bytes(draw, data)
    change = draw(st.sampled_from([_flip_bits, _set_bytes, lambda d, b: b[: _place(d, b)], lambda _, b: b * 2]))
    name = data[part.start + 4 : part.start + 8]
    chunk = png_chunks.chunk(name, body[:prefix] + zlib.compress(change(draw, inner)))
    return data[: part.start] + chunk + data[part.end :]


def _deflated_from(name: bytes, body: bytes) -> int | None:
    if name == b"IDAT":
        return 0
    if name in (b"iCCP", b"zTXt"):
        return body.find(b"\0") + 2
    return None


_SIZES = (1, 8, 64, 120, 1_000, 1_999, 4_096, 16_384, 65_500)


def _lie(draw: Draw, data: bytes) -> bytes:
    """Make sizes contradict each other: announced, in the configuration, in the coded picture, of a grid."""

    def size() -> tuple[int, int]:
        return draw(st.sampled_from(_SIZES)), draw(st.sampled_from(_SIZES))

    if data.startswith((b"II", b"MM")):
        return _lie_in_tiff(draw, data)
    if data[4:8] != b"ftyp":
        return _set_field(draw, data)
    if data[8:12] == b"heic":
        coded, brand = heif_files.hevc(), b"heic"
        if draw(st.booleans()):
            coded = replace(coded, configuration=heif_files.hevc_configuration(*size()))
    else:
        coded, brand = heif_files.av1(*draw(st.sampled_from([(64, 64), (1_000, 800), (3_000, 2_500)]))), b"avif"
        if draw(st.booleans()):
            header = heif_files.sequence_header(*size())
            coded = replace(coded, configuration=heif_files.av1_configuration(header))
        if draw(st.booleans()):
            coded = replace(coded, data=heif_files.sequence_header(*size()) + coded.data)
        coded = heif_files.padded(coded, draw(st.sampled_from([0, 1, 60])))
    tile = coded.item(*size())
    if draw(st.booleans()):
        return heif_files.heif(tile, brand=brand)
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    grid = heif_files.grid(*size(), rows=rows, columns=columns, first=2, announced=size())
    return heif_files.heif(grid, *[tile] * (rows * columns), brand=brand)


def _lie_in_tiff(draw: Draw, data: bytes) -> bytes:
    """Change the size of the picture, of its strips or tiles, or of a JPEG in it."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    changed = bytearray(data)
    for part in parts_of(data):
        if part.end - part.start == 12 and int.from_bytes(data[part.start : part.start + 2], order) in _TIFF_SIZES:
            value = part.fields[-1]
            if draw(st.booleans()):
                changed[value.at : value.at + value.size] = draw(st.sampled_from(_SIZES)).to_bytes(
                    value.size, order
                )
    frame = data.find(b"\xff\xc0")
    if frame >= 0 and draw(st.booleans()):
        if draw(st.booleans()):
            changed[frame + 1] = 0xC2
        for at in (frame + 5, frame + 7):
            changed[at : at + 2] = draw(st.sampled_from(_SIZES)).to_bytes(2, "big")
    return bytes(changed)


_TIFF_SIZES = (256, 257, 278, 322, 323)

_CHANGES = (
    _lie,
    _flip_bits,
    _set_bytes,
    _set_field,
    _set_field,
    _cut,
    _remove,
    _repeat,
    _swap,
    _splice,
    _fill,
    _damage_declared_size,
    _damage_deflated,
)
