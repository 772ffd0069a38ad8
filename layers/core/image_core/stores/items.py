"""Convert a record to a DynamoDB item, and back.

Fields keep their names, and None is left out. Nested values are JSON text: it can hold any float of EXIF, which
DynamoDB's numbers cannot, and is never searched. The index keys are computed from the record.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from image_core.model import PUBLIC_STATUSES, Record, Status, ThumbnailInfo, Thumbnails

LISTED = "images"
"""Hash key of `by_created`: one partition, written once per image."""
OPEN = "open"
"""Hash key of `by_review`: one partition, written when an image becomes `success`, and when it gets an alt text."""

Item = dict[str, Any]
_JSON_FIELDS = {"metadata", "thumbnails", "error", "tags", "caption_flags"}
_TUPLE_FIELDS = ("tags", "caption_flags")


def number_fields(dataclass: type[Any]) -> dict[str, type[int] | type[float]]:
    """The type of each of a dataclass's fields that is a number or None."""
    hints = typing.get_type_hints(dataclass)
    return {
        field.name: number
        for field in dataclasses.fields(dataclass)
        for number in (int, float)
        if hints[field.name] in (number, number | None)
    }


_NUMBER_FIELDS = number_fields(Record)


def created_order(created_ms: int, image_id: str) -> str:
    """Range key of `by_created`: sorts by age, and by id if two images have the same millisecond."""
    return f"{created_ms:015d}#{image_id}"


def image_id_in(order: str) -> str:
    """The image id in a `created_order`, `status_order` or `review_order` key."""
    return order.split("#")[1]


def status_order(record: Record) -> str:
    """Range key of `by_status`: also sorts by age, and ends with the deadline, which the sweep reads."""
    return f"{created_order(record.created_ms, record.image_id)}#{record.deadline:015d}"


def deadline_of(order: str) -> int:
    """The deadline (ms) in a `status_order` key."""
    return int(order.rsplit("#", 1)[1])


def review_order(record: Record) -> str:
    """Range key of `by_review`: sorts by the caption's confidence, then by age.

    It begins with the confidence in ten-thousandths plus 1, or 0 if that is not known.
    """
    confidence = record.caption_confidence
    rank = 0 if confidence is None else 1 + round(10_000 * confidence)
    return f"{rank:05d}-{created_order(record.created_ms, record.image_id)}"


def to_item(record: Record) -> Item:
    """The item of a record, index keys included."""
    item: Item = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None:
            continue
        if field.name in _JSON_FIELDS:
            plain = dataclasses.asdict(value) if isinstance(value, Thumbnails) else value
            item[field.name] = {"S": json.dumps(plain, ensure_ascii=False, allow_nan=False)}
        elif field.name in _NUMBER_FIELDS:
            item[field.name] = {"N": str(value)}
        else:
            item[field.name] = {"S": str(value)}
    item["status_order"] = {"S": status_order(record)}
    if record.status in PUBLIC_STATUSES:
        item["listed"] = {"S": LISTED}
        item["created_order"] = {"S": created_order(record.created_ms, record.image_id)}
        if record.sha256 is not None:
            item["content"] = {"S": record.sha256}
    if record.is_open_for_review():
        item["review"] = {"S": OPEN}
        item["review_order"] = {"S": review_order(record)}
    return item


def from_item(item: Mapping[str, Any]) -> Record:
    """The record of an item. Attributes that are not fields are index keys and are ignored."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Record):
        stored = item.get(field.name)
        if stored is None:
            continue
        if field.name in _JSON_FIELDS:
            values[field.name] = json.loads(stored["S"])
        elif field.name in _NUMBER_FIELDS:
            values[field.name] = _NUMBER_FIELDS[field.name](stored["N"])
        else:
            values[field.name] = stored["S"]
    values["status"] = Status(values["status"])
    for name in _TUPLE_FIELDS:
        if name in values:
            values[name] = tuple(values[name])
    if "thumbnails" in values:
        saved = values["thumbnails"]
        values["thumbnails"] = Thumbnails(
            attempt=saved["attempt"],
            version=saved["version"],
            generation=saved["generation"],
            sizes={name: ThumbnailInfo(**info) for name, info in saved["sizes"].items()},
        )
    return Record(**values)
