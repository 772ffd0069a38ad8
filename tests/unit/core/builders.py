"""Build records and objects with defaults for everything that a test does not specify."""

from __future__ import annotations

from typing import Any

from image_core.model import Record, Status, StoredObject, ThumbnailInfo, Thumbnails

DIGEST = "0123456789abcdef"
IMAGE_ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"
NOW_MS = 1_795_168_800_000  # 2026-11-20T10:00:00Z


def record(**fields: Any) -> Record:
    defaults: dict[str, Any] = {
        "image_id": IMAGE_ID,
        "key": f"uploads/{IMAGE_ID}/photo.jpg",
        "rev": 1,
        "status": Status.PENDING,
        "generation": 1,
        "created_ms": NOW_MS,
        "requested_ms": NOW_MS,
        "original_name": "photo.jpg",
        "source": "api",
    }
    return Record(**(defaults | fields))


def stored(version: str = "v1", **fields: Any) -> StoredObject:
    defaults: dict[str, Any] = {
        "key": f"uploads/{IMAGE_ID}/photo.jpg",
        "version": version,
        "version_id": version,
        "etag": f"etag-of-{version}",
        "size_bytes": 1000,
    }
    return StoredObject(**(defaults | fields))


def thumbnails(attempt: str = "a1", version: str = "v1", generation: int = 1) -> Thumbnails:
    return Thumbnails(
        attempt=attempt,
        version=version,
        generation=generation,
        sizes={
            size: ThumbnailInfo(f"{IMAGE_ID}/{attempt}/{size}.{DIGEST}", pixels, pixels * 2 // 3, "image/jpeg", 100)
            for size, pixels in {"small": 150, "medium": 300}.items()
        },
    )
