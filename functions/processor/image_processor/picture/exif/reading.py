"""Convert an EXIF block to plain JSON values of bounded size, which cannot break a record or a response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from image_processor.picture.exif import ifd, names
from image_processor.picture.exif.ifd import Value
from image_processor.picture.exif.position import Position, position
from image_processor.picture.exif.values import (
    JsonValue,
    TooLong,
    copyright_text,
    date,
    number,
    numbers_of,
    plain,
    user_comment,
    windows_text,
)

MAX_JSON_BYTES = 16 * 1024
TRUNCATED = "_truncated"
"""Added to the tags, with the value true, if some were left out because they were too long."""

_PREFIX = b"Exif\0\0"
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_INFINITELY_FAR = 0xFFFFFFFF


@dataclass(frozen=True)
class Exif:
    """`tags` by their standard names, and the `position`, which is private. Both may be empty."""

    tags: Mapping[str, JsonValue] = field(default_factory=dict)
    position: Position = field(default_factory=dict)
    orientation: int = 1
    """How the stored picture must be rotated or mirrored: EXIF's numbers, 1 to 8. It is the tag, except in formats
    that do not apply the tag."""

    def oriented(self, orientation: int) -> Exif:
        """Return a copy that applies this orientation instead of the tag. The tag stays as it is in the file."""
        return replace(self, orientation=orientation)


def read_exif(block: bytes) -> Exif:
    """Read an EXIF block, or a TIFF file, whose own tags are its EXIF.

    Rationals become numbers. Invalid ones are null in a list, and are left out otherwise. Dates become ISO 8601.
    Text has no control characters. The tags take at most MAX_JSON_BYTES as JSON: the largest are left out. Never
    raises: unreadable values are left out.
    """
    structure = ifd.parse(_without_prefix(block))
    if structure is None:
        return Exif()
    main = structure.directory(structure.first)
    details = structure.pointed_to(main, _EXIF_DIRECTORY)
    details.pop(names.ORIENTATION, None)  # only the main directory's orientation is valid
    tags = main | details
    readable = _readable_tags(tags)
    orientation = readable.get(names.NAMES[names.ORIENTATION], 1)
    assert isinstance(orientation, int)
    return Exif(readable, _position(structure.pointed_to(main, _GPS_DIRECTORY)), orientation)


def _without_prefix(block: bytes) -> memoryview:
    start = 0
    while start < 2 * len(_PREFIX) and block.startswith(_PREFIX, start):  # some writers put it twice
        start += len(_PREFIX)
    return memoryview(block)[start:]


def _readable_tags(directory: ifd.Directory) -> dict[str, JsonValue]:
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
    return _smallest(tags, too_long=too_long)


def _position(directory: ifd.Directory) -> Position:
    try:
        return position(directory)
    except TooLong:
        return {}


def _plain(tag: int, value: Value, directory: Mapping[int, Value]) -> JsonValue:
    """Return `value` as JSON. None if nothing is left of it."""
    if tag in names.DATES:
        fraction, offset = names.DATES[tag]
        return date(value, directory.get(fraction), directory.get(offset))
    if tag == names.USER_COMMENT:
        return user_comment(value)
    if tag == names.COPYRIGHT:
        return copyright_text(value)
    if tag in names.WINDOWS_TEXT:
        return windows_text(value)
    if tag == names.COMPONENTS_CONFIGURATION:
        return list(numbers_of(value))
    if tag == names.ORIENTATION:
        return _orientation(value)
    readable = plain(value)
    if tag == names.SUBJECT_DISTANCE and readable in (0, _INFINITELY_FAR):  # unknown, infinity
        return None
    return readable


def _orientation(value: Value) -> int | None:
    """Return the first number, if it is 1 to 8. The standard requires one SHORT, but not all writers comply."""
    first = next((number(one) for one in numbers_of(value)), None)
    return first if isinstance(first, int) and 1 <= first <= 8 else None


def _smallest(tags: dict[str, JsonValue], *, too_long: bool) -> dict[str, JsonValue]:
    """Return the smallest tags that fit, in their original order."""
    room = MAX_JSON_BYTES - len(json.dumps({TRUNCATED: True}))
    kept = set()
    for size, name in sorted((len(json.dumps({name: value})), name) for name, value in tags.items()):
        if size > room:
            too_long = True
            break
        room -= size
        kept.add(name)
    readable = {name: value for name, value in tags.items() if name in kept}
    return readable | {TRUNCATED: True} if too_long else readable
