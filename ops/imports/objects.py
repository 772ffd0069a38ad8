"""What happens to each object of the bucket that is imported, and under which key. Pure functions, no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from image_core.keys import is_folder_marker, safe_name

FOLDER = "imports/"
MAX_KEY_BYTES = 1024
MAX_COPY_BYTES = 5 * 1024**3
"""S3 copies larger objects only in parts. `MaxImageBytes` is far below that."""

_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes that S3 copies only after a restore."""


class Finding(StrEnum):
    """What an import does with an object. The first two are imported."""

    NEW = "new"
    CHANGED = "changed since an earlier import"
    IMPORTED = "already imported"
    DELETED = "deleted after an earlier import"
    EMPTY = "empty, or the marker of a folder"
    TOO_LARGE = "larger than MaxImageBytes"
    ARCHIVED = "archived: restore them in S3 first"
    ENCRYPTED = "encrypted with a key that S3 does not have (SSE-C)"
    UNSUPPORTED = "not a supported picture"


TO_IMPORT = (Finding.NEW, Finding.CHANGED)


@dataclass(frozen=True)
class SourceObject:
    """An object in the listing of the bucket that is imported."""

    key: str
    etag: str
    size_bytes: int
    storage_class: str
    is_restored: bool

    @classmethod
    def of(cls, entry: Any) -> SourceObject:
        """The object of an entry in the response of `list_objects_v2`."""
        restore = entry.get("RestoreStatus", {})
        return cls(
            key=entry["Key"],
            etag=entry["ETag"].strip('"'),
            size_bytes=entry["Size"],
            storage_class=entry.get("StorageClass", "STANDARD"),
            is_restored="RestoreExpiryDate" in restore and not restore.get("IsRestoreInProgress", False),
        )


def destination_key(bucket: str, key: str) -> str:
    """The key of the copy. It depends only on bucket and key, so an object is always the same image.

    It ends with the object's own name, which becomes the name of the image. A key that would become longer than S3
    allows is replaced by its digest. No bucket is called `_`, so no other object has that key.
    """
    copied = f"{FOLDER}{bucket}/{key}"
    if len(copied.encode()) <= MAX_KEY_BYTES:
        return copied
    return f"{FOLDER}_/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}/{safe_name(key.rstrip('/'))}"


def skip_reason(found: SourceObject, *, max_image_bytes: int) -> Finding | None:
    """Why the listing alone shows that this object cannot be imported. None if it does not."""
    if is_folder_marker(found.key, found.size_bytes) or found.size_bytes == 0:
        return Finding.EMPTY
    if found.size_bytes > min(max_image_bytes, MAX_COPY_BYTES):
        return Finding.TOO_LARGE
    if found.storage_class in _ARCHIVES and not found.is_restored:
        return Finding.ARCHIVED
    return None
