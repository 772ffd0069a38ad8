"""An EXIF block as plain JSON values, within a bound: nothing in it can break a record or an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from image_processor.picture.exif import names
from image_processor.picture.exif.ifd import Value, read_directories
from image_processor.picture.exif.position import Position, position
from image_processor.picture.exif.values import (
    JsonValue,
    TooLong,
    commented,
    copyright_of,
    date,
    numbers_of,
    plain,
    utf_16,
)

MAX_JSON_BYTES = 16 * 1024
TRUNCATED = "_truncated"
"""Stands among the tags, and is true, where values were left out for want of space."""

_INFINITELY_FAR = 0xFFFFFFFF


@dataclass(frozen=True)
class Exif:
    """`tags` by their standard names, and the `position`, which is private; either is empty where there is none."""

    tags: dict[str, JsonValue] = field(default_factory=dict)
    position: Position = field(default_factory=dict)


def read_exif(block: bytes) -> Exif:
    """An EXIF block (or the TIFF file that is its own).

    Rationals are numbers, those without a value left out (null inside a list); dates are ISO 8601; text has no
    control characters. The tags take at most MAX_JSON_BYTES as JSON, the smallest first. Never raises: broken EXIF
    is no EXIF.
    """
    found = read_directories(block)
    directory = found.main | found.exif
    tags: dict[str, JsonValue] = {}
    too_long = False
    for tag in sorted(directory.keys() & names.NAMES.keys()):
        try:
            value = _plain(tag, directory[tag], directory)
        except TooLong:
            too_long = True
            continue
        if value is not None:
            tags[names.NAMES[tag]] = value
    try:
        place = position(found.gps)
    except TooLong:
        place = {}
    return Exif(_bounded(tags, too_long=too_long), place)


def _plain(tag: int, value: Value, directory: Mapping[int, Value]) -> JsonValue:
    """`value` as JSON; None where nothing is left of it."""
    if tag in names.DATES:
        fraction, offset = names.DATES[tag]
        return date(value, directory.get(fraction), directory.get(offset))
    if tag == names.USER_COMMENT:
        return commented(value)
    if tag == names.COPYRIGHT:
        return copyright_of(value)
    if tag in names.WINDOWS_TEXT:
        return utf_16(value)
    if tag == names.COMPONENTS_CONFIGURATION:
        return list(numbers_of(value))
    shown = plain(value)
    if tag == names.ORIENTATION and not (isinstance(shown, int) and 1 <= shown <= 8):
        return None
    if tag == names.SUBJECT_DISTANCE and shown in (0, _INFINITELY_FAR):  # unknown, infinity
        return None
    return shown


def _bounded(tags: dict[str, JsonValue], *, too_long: bool) -> dict[str, JsonValue]:
    """As many of the tags as fit, the smallest first, in their order."""
    room = MAX_JSON_BYTES - len(json.dumps({TRUNCATED: True}))
    kept = set()
    for size, name in sorted((len(json.dumps({name: value})), name) for name, value in tags.items()):
        if size > room:
            too_long = True
            break
        room -= size
        kept.add(name)
    shown = {name: value for name, value in tags.items() if name in kept}
    return shown | {TRUNCATED: True} if too_long else shown
