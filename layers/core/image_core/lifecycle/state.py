"""The state of one image: its record first, then the object in the bucket, in that order (docs/state.md)."""

from __future__ import annotations

from dataclasses import dataclass

from image_core.keys import claimed_image_id, derived_image_id
from image_core.model import Record, StoredObject
from image_core.services import Services


@dataclass(frozen=True)
class ImageState:
    """What is known of an image. Its record and its object may each be missing."""

    image_id: str
    key: str
    record: Record | None
    stored: StoredObject | None

    def record_or_new(self, now_ms: int) -> Record:
        """The record, or the beginning of one for a direct drop (`rev` 0: not written yet)."""
        if self.record is not None:
            return self.record
        name = self.key.rstrip("/").rpartition("/")[2] or self.key
        return Record.new(self.image_id, self.key, now_ms=now_ms, original_name=name, source="bucket")


def load_state(key: str, services: Services) -> ImageState:
    """The state of the image that `key` belongs to."""
    image_id, record = _owner_of(key, services)
    return ImageState(image_id, key, record, services.storage.head(key))


def load_state_by_id(image_id: str, services: Services) -> ImageState | None:
    """The state of an image that has a record; None if it has none."""
    record = services.records.get(image_id)
    if record is None:
        return None
    return ImageState(image_id, record.key, record, services.storage.head(record.key))


def _owner_of(key: str, services: Services) -> tuple[str, Record | None]:
    claimed, derived = claimed_image_id(key), derived_image_id(services.storage.uploads_bucket, key)
    record = services.records.get(claimed) if claimed is not None else None
    if claimed is not None and record is not None and record.key == key:
        return claimed, record
    # Anybody may drop a file under another image's id. It becomes an image of its own and stays one.
    earlier = services.records.get(derived)
    if claimed is not None and record is None and earlier is None:
        return claimed, None
    return derived, earlier
