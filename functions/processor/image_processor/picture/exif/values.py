"""Convert single values to plain JSON: no NaN, no NUL, and only valid text."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from image_processor.picture.exif.ifd import ASCII, BYTE, UNDEFINED, UTF_8, Number, Value

JsonValue = None | bool | int | float | str | list["JsonValue"]

MAX_TEXT_BYTES = 16 * 1024
MAX_NUMBERS = 1_000

_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Not printable, but emoji and several scripts need them."""

_DATE = re.compile(
    r"(?P<day>\d{4}[:/.-]\d\d[:/.-]\d\d)"
    r"(?:[ T](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?(?: *(?P<offset>[+-]\d\d:?\d\d|Z))?)?[\s:]*",
    re.ASCII,
)
_FRACTION = re.compile(r"\d{1,9}", re.ASCII)
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):?([0-5]\d)|Z", re.ASCII)


class TooLong(Exception):
    """The value is too long for a record."""


def plain(value: Value) -> JsonValue:
    """Return text, a number or a list of numbers (null for invalid ones). None if nothing is left.

    Raises TooLong.
    """
    if value.type in (ASCII, UTF_8):
        return text_of(value)
    if value.type in (BYTE, UNDEFINED):
        # Versions ("0232") are text, codes such as SceneType a single byte; the rest is binary.
        if value.raw is not None and len(value.raw) == 1:
            return value.raw[0]
        raw = _trimmed(value).rstrip(b"\0")
        return clean(raw.decode("ascii")) if raw.isascii() and raw.decode("ascii").isprintable() else None
    numbers = [number(one) for one in numbers_of(value)]
    if len(numbers) == 1:
        return numbers[0]
    return list(numbers) if any(one is not None for one in numbers) else None


def numbers_of(value: Value | None) -> list[Number]:
    """Return the numbers of a value, an empty list if it is missing. Raises TooLong."""
    if value is None:
        return []
    if value.data is None or len(value.data) > 8 * MAX_NUMBERS:
        raise TooLong
    return value.numbers()


def number(value: Number) -> int | float | None:
    """Return `value` if it is finite and DynamoDB and JSON parsers support it, else None."""
    if value is None or not math.isfinite(value) or abs(value) > 1e100 or 0 < abs(value) < 1e-100:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def text_of(value: Value | None) -> str | None:
    """Return the text before the first NUL: some cameras leave garbage after it. Raises TooLong."""
    return _decoded(_trimmed(value).partition(b"\0")[0]) if value else None


def _decoded(raw: bytes) -> str | None:
    """Decode text. EXIF requires ASCII, but not all writers comply: read UTF-8 if it is valid, else Latin-1."""
    try:
        return clean(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(raw.decode("latin-1"))


def clean(text: str) -> str | None:
    """Replace control, bidi and unassigned characters and surrogates by spaces. None if nothing is left."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
    return text.strip(f" {_JOINERS}") or None


def copyright_text(value: Value) -> str | None:
    """Join the photographer's copyright and, after a NUL, the editor's. Raises TooLong."""
    parts = (_decoded(part) for part in _trimmed(value).split(b"\0", 2)[:2])
    return "; ".join(part for part in parts if part) or None


def windows_text(value: Value) -> str | None:
    """Return the text of one of Microsoft's tags, which are UTF-16. Raises TooLong."""
    return clean(_trimmed(value).decode("utf-16-le", "replace").partition("\0")[0])


def user_comment(value: Value) -> str | None:
    """Decode a text that begins with eight bytes for its character set. Raises TooLong."""
    if value.type in (ASCII, UTF_8):
        return text_of(value)
    raw = _trimmed(value)
    charset, text = raw[:8], raw[8:]
    if charset == b"UNICODE\0":
        # The standard does not define the byte order. The zero bytes of ASCII characters show it.
        little = text[1::2].count(0) >= text[0::2].count(0)
        return clean(text.decode("utf-16-le" if little else "utf-16-be", "replace"))
    if charset in (b"ASCII\0\0\0", bytes(8)):
        return clean(text.decode("utf-8", "replace"))
    return None


def date(value: Value, fraction: Value | None = None, offset: Value | None = None) -> str | None:
    """Return ISO 8601, with a fraction of a second and an offset from UTC if they are known: those in the date
    itself, or else in the values `fraction` and `offset`. A date without a time stays a date.

    The second 60 is the first of the next minute, and 24:00:00 the first of the next day. None for anything else.
    Raises TooLong.
    """
    match = _DATE.fullmatch(text_of(value) or "")
    if match is None:
        return None
    moment = _moment(match["day"], match["time"] or "00:00:00")
    if moment is None:
        return None
    if match["time"] is None:
        return moment.date().isoformat()
    parts = _fraction(match["fraction"]) or _fraction(text_of(fraction))
    return moment.isoformat() + parts + (_offset(match["offset"]) or _offset(text_of(offset)))


def _moment(day: str, time: str) -> datetime | None:
    hour, minute, second = (int(part) for part in time.split(":"))
    next_day, next_minute = time == "24:00:00", second == 60
    try:
        midnight = datetime(int(day[:4]), int(day[5:7]), int(day[8:]))
        moment = midnight.replace(hour=0 if next_day else hour, minute=minute, second=0 if next_minute else second)
        return moment + timedelta(days=next_day, minutes=next_minute)
    except (OverflowError, ValueError):
        return None


def _fraction(digits: str | None) -> str:
    return f".{digits}" if digits and _FRACTION.fullmatch(digits) else ""


def _offset(text: str | None) -> str:
    """Return `text` as Z or ±hh:mm, empty if it is no offset from UTC."""
    match = _OFFSET.fullmatch(text or "")
    if match is None:
        return ""
    sign, hours, minutes = match.groups()
    return "Z" if sign is None else f"{sign}{hours}:{minutes}"


def _trimmed(value: Value) -> bytes:
    """Return the bytes without trailing NULs, but always an even number, for UTF-16. Raises TooLong."""
    raw = value.raw
    length = len(raw.rstrip(b"\0")) if raw is not None else 0
    if raw is None or length > MAX_TEXT_BYTES:
        raise TooLong
    return raw[: length + length % 2]
