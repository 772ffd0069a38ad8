"""From "look at this key" to what is there: the record first, then the object, in that order (docs/state.md)."""

from __future__ import annotations

from dataclasses import dataclass

from image_core.keys import claimed_image_id, derived_image_id
from image_core.model import Record, StoredObject
from image_core.services import Services


@dataclass(frozen=True)
class Sighting:
    """What a look at a key found. Each may be missing; `image_id` is the key's in any case."""

    image_id: str
    record: Record | None
    stored: StoredObject | None

    def record_or_new(self, key: str, now_ms: int) -> Record:
        """The record, or what the record of a direct drop begins with (`rev` 0: not written yet)."""
        if self.record is not None:
            return self.record
        name = key.rstrip("/").rpartition("/")[2] or key
        return Record.new(self.image_id, key, now_ms=now_ms, original_name=name, source="bucket")


def look_at_key(key: str, services: Services) -> Sighting:
    """The record of the image that `key` stands for, and the object under it."""
    image_id, record = _record_of(key, services)
    return Sighting(image_id, record, services.storage.head(key))


def _record_of(key: str, services: Services) -> tuple[str, Record | None]:
    claimed, derived = claimed_image_id(key), derived_image_id(services.storage.uploads_bucket, key)
    record = services.records.get(claimed) if claimed is not None else None
    if claimed is not None and record is not None and record.key == key:
        return claimed, record
    # Anybody may drop a file under somebody else's id: the image is one of its own then, and stays it afterwards.
    earlier = services.records.get(derived)
    if claimed is not None and record is None and earlier is None:
        return claimed, None
    return derived, earlier
