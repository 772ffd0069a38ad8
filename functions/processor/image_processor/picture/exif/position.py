"""Where, when and in which direction a picture was taken: the GPS directory."""

from __future__ import annotations

import re
from collections.abc import Mapping

from image_processor.picture.exif.ifd import Value
from image_processor.picture.exif.values import date, number, numbers_of, text_of

Position = dict[str, float | str]

_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE, _TIME = range(1, 8)
_SATELLITES, _STATUS, _DIMENSIONS, _DOP = range(8, 12)
_DIRECTION_REF, _DIRECTION = 0x10, 0x11
_DATE, _ERROR = 0x1D, 0x1F

_BELOW = (1, 3)
"""References that mean below sea level, or below the ellipsoid."""
_MAX_METERS = 1e7
_NO_FIX_DOP = 99
"""Receivers without a fix report a dilution of precision of 99.9 or similar."""
_NUMBER_ABOVE_0 = re.compile("[1-9]")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def position(tags: Mapping[int, Value]) -> Position:
    """Return `latitude` and `longitude` in degrees, north and east positive, and other valid values:

    `altitude` in meters above the sea, `accuracy` in meters, `direction` of the camera in degrees clockwise from
    north (`direction_reference`: "true" or "magnetic" north), `timestamp` in UTC. Empty without valid
    coordinates, and if both are 0 and nothing says that they were measured. Raises TooLong.
    """
    latitude = _degrees(tags, _LATITUDE, _LATITUDE_REF, "NS", 90)
    longitude = _degrees(tags, _LONGITUDE, _LONGITUDE_REF, "EW", 180)
    if latitude is None or longitude is None:
        return {}
    if latitude == 0 and longitude == 0 and not _was_measured(tags):
        return {}
    found: Position = {"latitude": latitude, "longitude": longitude}
    if (altitude := _one(tags, _ALTITUDE)) is not None and abs(altitude) < _MAX_METERS:
        below = numbers_of(tags.get(_ALTITUDE_REF))[:1]
        found["altitude"] = round(-altitude if below and below[0] in _BELOW else altitude, 2)
    if (accuracy := _one(tags, _ERROR)) is not None and 0 < accuracy < _MAX_METERS:
        found["accuracy"] = round(accuracy, 2)
    if (direction := _one(tags, _DIRECTION)) is not None and 0 <= direction <= 360:
        found["direction"] = round(direction % 360, 2)
        reference = {"T": "true", "M": "magnetic"}.get(text_of(tags.get(_DIRECTION_REF)) or "")
        if reference:
            found["direction_reference"] = reference
    if timestamp := _timestamp(tags):
        found["timestamp"] = timestamp
    return found


def _one(tags: Mapping[int, Value], tag: int) -> int | float | None:
    numbers = numbers_of(tags.get(tag))
    return number(numbers[0]) if len(numbers) == 1 else None


def _degrees(tags: Mapping[int, Value], tag: int, reference: int, letters: str, limit: int) -> float | None:
    """Return degrees, minutes and seconds as degrees, to 1e-7 (about a centimeter); None if they are invalid."""
    side = (text_of(tags.get(reference)) or "").upper()
    parts = [number(part) for part in numbers_of(tags.get(tag))]
    if not 1 <= len(parts) <= 3 or side not in tuple(letters):
        return None
    degrees = 0.0
    for place, part in enumerate(parts):
        # 60 seconds are valid: some writers round up. A device without seconds writes 0/0.
        if part is None and place > 0:
            continue
        if part is None or part < 0 or (place > 0 and part > 60):
            return None
        degrees += part / 60**place
    if degrees > limit:
        return None
    return round(-degrees if side == letters[1] else degrees, 7)


def _was_measured(tags: Mapping[int, Value]) -> bool:
    """Return whether the receiver had a fix. Cameras without one write 0 into all numbers, and their own time."""
    status = text_of(tags.get(_STATUS))
    if status == "V":
        return False
    accuracy, dop, altitude = (_one(tags, tag) or 0 for tag in (_ERROR, _DOP, _ALTITUDE))
    return (
        status == "A"
        or text_of(tags.get(_DIMENSIONS)) in ("2", "3")
        or _NUMBER_ABOVE_0.search(text_of(tags.get(_SATELLITES)) or "") is not None
        or 0 < dop < _NO_FIX_DOP
        or 0 < accuracy < _MAX_METERS
        or 0 < abs(altitude) < _MAX_METERS
    )


def _timestamp(tags: Mapping[int, Value]) -> str | None:
    if _DATE not in tags or not (day := date(tags[_DATE])) or not _DAY.fullmatch(day):
        return None
    parts = [number(part) for part in numbers_of(tags.get(_TIME))]
    if len(parts) != 3:
        return None
    hour, minute, second = parts
    if hour is None or minute is None or second is None:
        return None
    if not (hour in range(24) and minute in range(60) and 0 <= second < 60):
        return None
    return f"{day}T{int(hour):02}:{int(minute):02}:{int(second):02}Z"
