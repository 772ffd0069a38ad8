"""Names of things: image ids, object keys, and which id a key stands for."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from ulid import ULID

MAX_NAME_BYTES = 200
"""An S3 key is at most 1,024 bytes of UTF-8; a name within it keeps well below."""

_ID = re.compile(r"img_[0-9a-hjkmnp-tv-z]{26}")
_THUMBNAIL = re.compile(rf"({_ID.pattern})/([^/]+)/[^/]+")
_UPLOAD = re.compile(rf"uploads/({_ID.pattern})/[^/]+")


def new_image_id() -> str:
    """A fresh id; ids sort by the time they were made."""
    return f"img_{str(ULID()).lower()}"


def is_image_id(text: str) -> bool:
    """Whether `text` has the form of an image id."""
    return _ID.fullmatch(text) is not None


def derived_image_id(bucket: str, key: str) -> str:
    """The id of a direct drop: always the same for one key, so a duplicate event is the same image."""
    digest = hashlib.sha256(f"{bucket}\0{key}".encode()).digest()
    return f"img_{str(ULID.from_bytes(digest[:16])).lower()}"


def requested_image_id(call: str, idempotency_key: str) -> str:
    """The id of the image that `call` ("POST /api/images") makes with this `Idempotency-Key`: always the same."""
    # No bucket's name has a space in it: these ids and those of direct drops cannot meet.
    return derived_image_id(call, idempotency_key)


def claimed_image_id(key: str) -> str | None:
    """The id that a key of the form `uploads/{image_id}/{name}` claims to be; None for other keys."""
    match = _UPLOAD.fullmatch(key)
    return match.group(1) if match else None


def is_key_of(image_id: str, bucket: str, key: str) -> bool:
    """Whether `key` can be the original of this image: it claims the id, or the id derives from it.

    A record that names any other key is forged. Code that signs or removes what a record names asks this first.
    """
    return image_id in (claimed_image_id(key), derived_image_id(bucket, key))


def is_folder_marker(key: str, size_bytes: int) -> bool:
    """Whether the object is what consoles create for an empty folder."""
    return key.endswith("/") and size_bytes == 0


def safe_name(name: str | None) -> str:
    """`name` as the last part of an S3 key: no folders, no control or direction marks, bounded, never empty."""
    last = re.split(r"[/\\]", name or "")[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C")
    kept = kept.strip(" .")
    stem, dot, extension = kept.rpartition(".")
    if dot and len(extension.encode()) <= 16:
        return f"{_cut(stem, MAX_NAME_BYTES - len(extension.encode()) - 1)}.{extension}"
    return _cut(kept, MAX_NAME_BYTES) or "image"


def _cut(text: str, size_bytes: int) -> str:
    return text.encode()[:size_bytes].decode(errors="ignore")


def upload_key(image_id: str, name: str | None) -> str:
    """Where an original lies that came through the API."""
    return f"uploads/{image_id}/{safe_name(name)}"


def thumbnail_prefix(image_id: str) -> str:
    """All thumbnails of an image, of whatever attempt."""
    return f"{image_id}/"


def thumbnail_key(image_id: str, attempt: str, size: str) -> str:
    """Where one attempt puts one thumbnail, so that a late worker overwrites nothing."""
    return f"{image_id}/{attempt}/{size}"


def thumbnail_owner(key: str) -> tuple[str, str] | None:
    """Image id and attempt in a thumbnail's key; None for a key that is no thumbnail's."""
    match = _THUMBNAIL.fullmatch(key)
    return (match.group(1), match.group(2)) if match else None
