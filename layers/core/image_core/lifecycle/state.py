"""Load the state of one image: first its record, then the object in the bucket (docs/state.md says why)."""

from __future__ import annotations

from dataclasses import dataclass

from image_core.keys import claimed_image_id, derived_image_id
from image_core.model import Record, StoredObject
from image_core.services import Services


@dataclass(frozen=True)
class ImageState:
    """The state of an image. Its record and its object may each be missing."""

    image_id: str
    key: str
    record: Record | None
    stored: StoredObject | None

    def record_or_new(self, now_ms: int, upload_seconds: int) -> Record:
        """The record, or a new one for a direct drop (`rev` 0: not written yet).

        Under a key of the API, an earlier record may have been deleted while its presigned URL is still valid. The
        new record assumes such a URL, which ends at most `upload_seconds` from now.
        """
        if self.record is not None:
            return self.record
        name = self.key.rstrip("/").rpartition("/")[2] or self.key
        may_have_url = claimed_image_id(self.key) == self.image_id
        return Record.new(
            self.image_id,
            self.key,
            now_ms=now_ms,
            original_name=name,
            source="bucket",
            upload_until=now_ms + upload_seconds * 1000 if may_have_url else 0,
        )


def load_state(key: str, services: Services) -> ImageState:
    """Load the state of the image that `key` belongs to."""
    image_id, record = _owner_of(key, services)
    return ImageState(image_id, key, record, services.storage.head(key))


def load_state_by_id(image_id: str, services: Services) -> ImageState | None:
    """Load the state of an image by its id. None if it has no record."""
    record = services.records.get(image_id)
    if record is None:
        return None
    return ImageState(image_id, record.key, record, services.storage.head(record.key))


def _owner_of(key: str, services: Services) -> tuple[str, Record | None]:
    claimed, derived = claimed_image_id(key), derived_image_id(services.storage.uploads_bucket, key)
    record = services.records.get(claimed) if claimed is not None else None
    if claimed is not None and record is not None and record.key == key:
        return claimed, record
    # A file may be dropped under another image's id. It becomes an image of its own and stays one.
    earlier = services.records.get(derived)
    if claimed is not None and record is None and earlier is None:
        return claimed, None
    return derived, earlier
