"""What an image says about itself, as plain JSON values: nothing in it can break a record or an answer."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from numbers import Rational
from typing import Any

from PIL import ExifTags, Image

from image_processor.decode import Decoded

MAX_EXIF_JSON_BYTES = 16 * 1024
TRUNCATED = "_truncated"
"""Stands in `exif`, and is true, where values were left out for want of space."""

_Base = ExifTags.Base

# Offsets into the file, embedded pictures, other kinds of metadata in their own encodings, and maker notes:
# no use outside the file, large, or private.
_LEFT_OUT = frozenset(
    {
        _Base.MakerNote,
        _Base.ExifOffset,
        _Base.GPSInfo,
        ExifTags.IFD.Interop,
        _Base.JpegIFOffset,
        _Base.JpegIFByteCount,
        _Base.StripOffsets,
        _Base.StripByteCounts,
        _Base.TileOffsets,
        _Base.TileByteCounts,
        _Base.SubIFDs,
        _Base.JPEGTables,
        _Base.XMLPacket,
        _Base.IPTCNAA,
        _Base.ImageResources,
        _Base.InterColorProfile,
        _Base.PrintImageMatching,
        0xEA1C,  # Padding
    }
)
_DATES = {
    _Base.DateTime: _Base.OffsetTime,
    _Base.DateTimeOriginal: _Base.OffsetTimeOriginal,
    _Base.DateTimeDigitized: _Base.OffsetTimeDigitized,
}
_UTF16 = frozenset({_Base.XPTitle, _Base.XPComment, _Base.XPAuthor, _Base.XPKeywords, _Base.XPSubject})

_OFFSET = re.compile(r"[+-]\d\d:\d\d")

JsonValue = None | bool | int | float | str | list["JsonValue"]


def extract(decoded: Decoded, *, size_bytes: int, sha256: str) -> dict[str, Any]:
    """The metadata of an image: width and height (upright, pixels), format, size_bytes, sha256, exif, and
    gps where the image says where it was taken, kept apart because it is private."""
    exif, gps = read_exif(decoded.exif)
    metadata: dict[str, Any] = {
        "width": decoded.width,
        "height": decoded.height,
        "format": decoded.format,
        "size_bytes": size_bytes,
        "sha256": sha256,
        "exif": exif,
    }
    if gps:
        metadata["gps"] = gps
    return metadata


def read_exif(block: bytes) -> tuple[dict[str, JsonValue], dict[str, float]]:
    """An EXIF block as (tags by their standard names, position); either is empty where nothing is readable.

    Rationals are numbers, those without a value left out (null inside a list); dates are ISO 8601, with the
    offset from UTC where it is known; text has no control characters. The tags take at most
    MAX_EXIF_JSON_BYTES as JSON. The position is `latitude` and `longitude` in degrees, north and east
    positive, and perhaps `altitude` in metres above sea level. Never raises: broken EXIF is no EXIF.
    """
    parsed = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, for each flaw that it skips
        try:
            parsed.load(block)
        except Exception:  # hostile bytes, and Pillow promises no set of errors
            return {}, {}
        tags = _readable(parsed, None) | _readable(parsed, ExifTags.IFD.Exif)
        position = _readable(parsed, ExifTags.IFD.GPSInfo)
    named: dict[str, JsonValue] = {
        ExifTags.TAGS[tag]: plain
        for tag, value in sorted(tags.items())
        if tag in ExifTags.TAGS and tag not in _LEFT_OUT and (plain := _plain(tag, value, tags)) is not None
    }
    return _bounded(named), _gps(position)


def _readable(parsed: Image.Exif, ifd: int | None) -> dict[int, Any]:
    """The readable tags of the main directory, or of the one that `ifd` points to."""
    found: dict[int, Any] = {}
    with suppress(Exception):  # as above
        directory: Mapping[int, Any] = parsed if ifd is None else parsed.get_ifd(ifd)
        for tag in list(directory):
            with suppress(Exception):  # one bad value does not cost the others
                found[tag] = directory[tag]
    return found


def _plain(tag: int, value: Any, tags: Mapping[int, Any]) -> JsonValue:
    """`value` as JSON; None where nothing is left of it."""
    if tag in _DATES:
        return _date(value, tags.get(_DATES[_Base(tag)]))
    if tag == _Base.Orientation:
        return value if isinstance(value, int) and 1 <= value <= 8 else None
    if tag == _Base.UserComment and isinstance(value, bytes):
        return _user_comment(value)
    if tag in _UTF16 and isinstance(value, bytes):
        return _text(value.decode("utf-16-le", "replace"))
    if isinstance(value, tuple):
        numbers = [_scalar(item) for item in value]
        return numbers if any(number is not None for number in numbers) else None
    return _scalar(value)


def _scalar(value: Any) -> JsonValue:
    if isinstance(value, str):
        # Pillow reads the bytes as Latin-1; what is valid UTF-8 was meant as that.
        try:
            return _text(value.encode("latin-1").decode("utf-8"))
        except UnicodeError:
            return _text(value)
    if isinstance(value, bytes):
        # Versions ("0232") are text; codes such as SceneType are a single byte; the rest is binary.
        if len(value) == 1:
            return value[0]
        text = value.rstrip(b"\0")
        return _text(text.decode("ascii")) if text.isascii() and text.decode("ascii").isprintable() else None
    if isinstance(value, int):
        return value
    if isinstance(value, (float, Rational)):
        return _number(value)
    return None


def _number(value: Any) -> int | float | None:
    """A finite number within what DynamoDB holds (1e-130 to 1e125), or None."""
    try:
        number = float(value)
    except (ArithmeticError, ValueError, TypeError):
        return None
    if not math.isfinite(number) or abs(number) > 1e100 or 0 < abs(number) < 1e-100:
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _text(value: str) -> str | None:
    """Without control characters, unassigned ones and surrogates; None if nothing is left."""
    return "".join(c if c.isprintable() else " " for c in value).strip() or None


def _user_comment(value: bytes) -> str | None:
    """EXIF 3.0, 4.6.6: eight bytes that name the character set, then the text."""
    charset, text = value[:8], value[8:]
    if charset == b"UNICODE\0":
        # The standard leaves the byte order open; one order makes far more of the text printable ASCII.
        little = text[1::2].count(0) >= text[0::2].count(0)
        return _text(text.decode("utf-16-le" if little else "utf-16-be", "replace"))
    if charset in (b"ASCII\0\0\0", bytes(8)):
        return _text(text.decode("utf-8", "replace")) if text.strip(b"\0 ") else None
    return None


def _date(value: Any, offset: Any) -> str | None:
    try:
        moment = datetime.strptime(str(value).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    known = isinstance(offset, str) and _OFFSET.fullmatch(offset.strip("\0 "))
    return moment.isoformat() + (offset.strip("\0 ") if known else "")


def _bounded(tags: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """As many of the tags as fit, the smallest first, in their order."""
    room = MAX_EXIF_JSON_BYTES - len(json.dumps({TRUNCATED: True}))
    kept = set()
    for size, name in sorted((len(json.dumps({name: value})), name) for name, value in tags.items()):
        if size > room:
            return {name: value for name, value in tags.items() if name in kept} | {TRUNCATED: True}
        room -= size
        kept.add(name)
    return tags


def _gps(tags: Mapping[int, Any]) -> dict[str, float]:
    latitude = _degrees(tags, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS", 90)
    longitude = _degrees(tags, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW", 180)
    if latitude is None or longitude is None:
        return {}
    position = {"latitude": latitude, "longitude": longitude}
    altitude = _number(tags.get(ExifTags.GPS.GPSAltitude))
    if altitude is not None and abs(altitude) < 100_000:
        below = tags.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
        position["altitude"] = round(-altitude if below else altitude, 2)
    return position


def _degrees(tags: Mapping[int, Any], tag: int, reference: int, letters: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as degrees, to 1e-7 (about a centimetre); None if they make no sense."""
    value, side = tags.get(tag), str(tags.get(reference, "")).strip("\0 ").upper()
    if not isinstance(value, tuple) or not 1 <= len(value) <= 3 or side not in tuple(letters):
        return None
    parts = [_number(part) for part in value]
    degrees: float = sum(part / 60**place for place, part in enumerate(parts) if part is not None)
    if None in parts or not 0 <= degrees <= limit:
        return None
    return round(-degrees if side == letters[1] else degrees, 7)
