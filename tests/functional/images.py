"""Create images in any status, through the transitions that lead there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from image_core.errors import CaptionFailed
from image_core.keys import derived_image_id, new_image_id, upload_key
from image_core.model import Outcome, Record, Status, StoredObject, ThumbnailInfo
from image_core.stores.images import Records
from tests.functional.emulator import Stack

LEASE_SECONDS = 30
DIGEST = "0123456789abcdef"
METADATA = {
    "width": 120,
    "height": 80,
    "format": "jpeg",
    "size_bytes": 1000,
    "sha256": "0" * 64,
    "color_mode": "rgb",
    "bit_depth": 8,
    "has_alpha": False,
    "frames": 1,
    "icc_profile": "Display P3",
    "dpi": [300.0, 72.01],
    "placeholder": {"thumbhash": "HggCBYJCQRAjIhFVVpZVVwYw4i9z", "color": "#7d7777"},
    "exif": {"Make": "Acme", "FNumber": 2.8, "LensSpecification": [24, 70, None, None]},
}


def new_record(records: Records, **fields: Any) -> Record:
    """Return a record as the API creates it, not written yet."""
    image_id = new_image_id()
    now_ms = records.clock.now_ms()
    new = Record.new(
        image_id,
        upload_key(image_id, "photo.jpg"),
        now_ms=now_ms,
        original_name="photo.jpg",
        source="api",
        deadline=now_ms + 30_000,
    )
    return replace(new, **fields)


def stored_object(record: Record, version: str = "v1", **fields: Any) -> StoredObject:
    """Return an object under the record's key."""
    defaults: dict[str, Any] = {"key": record.key, "version": version, "version_id": version, "size_bytes": 1000}
    return StoredObject(**(defaults | {"etag": f"etag-of-{version}"} | fields))


def attempt_thumbnails(record: Record) -> dict[str, ThumbnailInfo]:
    """Return the thumbnails of the record's current attempt."""
    return {
        size: ThumbnailInfo(f"{record.image_id}/{record.attempt}/{size}.{DIGEST}", 150, 100, "image/jpeg", 100)
        for size in ("small", "medium")
    }


def outcome(**fields: Any) -> Outcome:
    defaults: dict[str, Any] = {
        "caption": "a photo of a red square",
        "caption_reason": None,
        "caption_model": "fake@1",
        "caption_recipe": "fake",
        "caption_confidence": 0.8765,
        "caption_flags": ("low_confidence",),
        "caption_language": "en",
        "processing_ms": 420,
    }
    return Outcome(**(defaults | fields))


def image_in(records: Records, status: Status, **fields: Any) -> Record:
    """Create a new image in that status.

    It has an object of version `v1` if that status implies that an object was seen.
    """
    new = new_record(records, **fields)
    if status is Status.RESERVED:
        return records.reserve(new)
    created = records.create(new)
    if status is Status.PENDING:
        return created
    claimed = records.claim(created, stored_object(created), lease_seconds=LEASE_SECONDS)
    if status is Status.PROCESSING:
        return claimed
    saved = records.save(claimed, metadata=METADATA, thumbnails=attempt_thumbnails(claimed))
    if status is Status.SUCCESS:
        return records.finish(saved, outcome())
    if status is Status.FAILED:
        return records.fail(saved, CaptionFailed())
    return records.mark_deleting(saved, deadline_seconds=30)


def stored_image(stack: Stack, status: Status, body: bytes = b"the original", **fields: Any) -> Record:
    """Create an image as `image_in` does, with its original and its thumbnails in the buckets."""
    records, storage = stack.records, stack.services.storage
    if "key" in fields:  # a direct drop
        fields.setdefault("image_id", derived_image_id(stack.uploads_bucket, fields["key"]))
    created = records.create(new_record(records, **fields))
    stack.put(created.key, body)
    if status is Status.PENDING:
        return created
    stored = storage.head(created.key)
    assert stored is not None
    claimed = records.claim(created, stored, lease_seconds=LEASE_SECONDS)
    for size, info in attempt_thumbnails(claimed).items():
        storage.put_thumbnail(info.key, f"{size} of {claimed.attempt}".encode(), content_type=info.content_type)
    saved = records.save(claimed, metadata=METADATA, thumbnails=attempt_thumbnails(claimed))
    if status is Status.PROCESSING:
        return saved
    if status is Status.FAILED:
        return records.fail(saved, CaptionFailed())
    assert status is Status.SUCCESS
    return records.finish(saved, outcome())
