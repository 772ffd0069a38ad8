"""Image ids, object keys, and the mapping between them."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from ulid import ULID

MAX_NAME_BYTES = 200
"""An S3 key has at most 1,024 bytes of UTF-8. A name is one part of it and stays well below that."""

_ID = re.compile(r"img_[0-9a-hjkmnp-tv-z]{26}")
_THUMBNAIL = re.compile(rf"({_ID.pattern})/([^/]+)/[^/]+")
_UPLOAD = re.compile(rf"uploads/({_ID.pattern})/[^/]+")


def new_image_id() -> str:
    """Return a new id. Ids sort by creation time."""
    return f"img_{str(ULID()).lower()}"


def is_image_id(text: str) -> bool:
    """Whether `text` has the form of an image id."""
    return _ID.fullmatch(text) is not None


def derived_image_id(bucket: str, key: str) -> str:
    """The id of a direct drop. It depends only on bucket and key, so a duplicate event names the same image."""
    digest = hashlib.sha256(f"{bucket}\0{key}".encode()).digest()
    return f"img_{str(ULID.from_bytes(digest[:16])).lower()}"


def requested_image_id(call: str, idempotency_key: str) -> str:
    """The id of the image that `call` ("POST /api/images") creates with this `Idempotency-Key`: always the same."""
    # Bucket names have no spaces, so these ids never collide with those of direct drops.
    return derived_image_id(call, idempotency_key)


def claimed_image_id(key: str) -> str | None:
    """The image id in a key of the form `uploads/{image_id}/{name}`. None for other keys."""
    match = _UPLOAD.fullmatch(key)
    return match.group(1) if match else None


def is_key_of(image_id: str, bucket: str, key: str) -> bool:
    """Whether `key` can be the original of this image: it contains the id, or the id derives from it.

    A record that names any other key is forged. Check this before signing or removing a key from a record.
    """
    return image_id in (claimed_image_id(key), derived_image_id(bucket, key))


def is_folder_marker(key: str, size_bytes: int) -> bool:
    """Whether the object is the placeholder that S3 consoles create for an empty folder."""
    return key.endswith("/") and size_bytes == 0


def safe_name(name: str | None) -> str:
    """`name` as the last part of an S3 key: no folders, no control or bidi characters, bounded, never empty."""
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
    """The key of an original that is uploaded through the API."""
    return f"uploads/{image_id}/{safe_name(name)}"


def thumbnail_prefix(image_id: str) -> str:
    """The prefix of all thumbnails of an image, from all attempts."""
    return f"{image_id}/"


def thumbnail_key(image_id: str, attempt: str, size: str, body: bytes) -> str:
    """The key of one attempt's thumbnail. Attempts never share a key, so a late worker overwrites nothing.

    It ends with a digest of the bytes, which is also in the thumbnail's URL.
    """
    return f"{image_id}/{attempt}/{size}.{hashlib.sha256(body).hexdigest()[:16]}"


def thumbnail_owner(key: str) -> tuple[str, str] | None:
    """The image id and attempt in a thumbnail's key. None if the key is not a thumbnail's."""
    match = _THUMBNAIL.fullmatch(key)
    return (match.group(1), match.group(2)) if match else None
