"""The data model: records, stored objects, statistics. Plain data, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The status of an image; docs/state.md has the diagram. `RESERVED` and `DELETING` are never shown."""

    RESERVED = "reserved"
    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    DELETING = "deleting"


PUBLIC_STATUSES = (Status.PENDING, Status.PROCESSING, Status.SUCCESS, Status.FAILED)
UNFINISHED_STATUSES = (Status.RESERVED, Status.PENDING, Status.PROCESSING, Status.DELETING)


class Stage(StrEnum):
    """What a reprocess recreates. `THUMBNAILS` includes the metadata."""

    ALL = "all"
    THUMBNAILS = "thumbnails"
    CAPTION = "caption"


IDEMPOTENCY_KEY_MS = 24 * 60 * 60 * 1000
"""A request's `Idempotency-Key` is remembered as long as its image exists, and at least this long."""


@dataclass(frozen=True)
class StoredObject:
    """An original as HEAD reports it.

    `version` distinguishes successive contents of a key: S3's VersionId, or ETag and time if the bucket is not
    versioned. `version_id` is only ever S3's VersionId. `modified_ms` (ms since 1970, S3 counts whole seconds) is
    when it arrived. `kms_key` is the ARN of the key that it is encrypted with, if S3 names one. If `is_readable` is
    false, S3 will always refuse its HEAD, and the other fields come from a listing.
    """

    key: str
    version: str
    version_id: str | None
    etag: str
    size_bytes: int
    content_type: str | None = None
    modified_ms: int = 0
    kms_key: str | None = None
    is_readable: bool = True


_DIGEST = re.compile(r".+/[^/.]+\.([0-9a-f]{16})")


@dataclass(frozen=True)
class ThumbnailInfo:
    """One rendition on a record: width and height in pixels, media type, object key."""

    key: str
    width: int
    height: int
    content_type: str
    size_bytes: int

    @property
    def digest(self) -> str | None:
        """The digest of the bytes, which ends the key. None for a rendition of an older version."""
        match = _DIGEST.fullmatch(self.key)
        return match[1] if match else None

    @property
    def query(self) -> str:
        """The query of this rendition's URL. With it, caches may keep the response forever."""
        return f"?v={self.digest}" if self.digest else ""


@dataclass(frozen=True)
class Thumbnails:
    """The thumbnails that are served, with the attempt that made them, their version and their generation.

    `generation` is the one that made them, or the latest one that kept them (a reprocess of only the caption).
    """

    attempt: str
    version: str
    generation: int
    sizes: Mapping[str, ThumbnailInfo]


@dataclass(frozen=True)
class Record:
    """The record of one image. Times are milliseconds since 1970. docs/state.md explains the fields."""

    image_id: str
    key: str
    rev: int
    status: Status
    generation: int
    created_ms: int
    original_name: str
    source: str
    content_type: str | None = None
    size_bytes: int | None = None
    announced_bytes: int | None = None
    announced_sha256: str | None = None
    request_digest: str | None = None
    title: str | None = None
    alt_text: str | None = None
    alt_text_source: str | None = None
    """`person` or `caption`. None also if the alt text is of a time before this field: a person wrote it."""
    tags: tuple[str, ...] | None = None
    requested_ms: int = 0
    deadline: int = 0
    postponed: int = 0
    upload_until: int = 0
    version: str | None = None
    version_etag: str | None = None
    attempt: str | None = None
    attempts: int = 0
    lease_until: int = 0
    finished_version: str | None = None
    finished_generation: int | None = None
    metadata: Mapping[str, Any] | None = None
    thumbnails: Thumbnails | None = None
    caption: str | None = None
    caption_reason: str | None = None
    caption_model: str | None = None
    caption_recipe: str | None = None
    caption_confidence: float | None = None
    """From 0 to 1, rounded to 4 decimals. None without a caption, and for captions of earlier releases."""
    caption_flags: tuple[str, ...] | None = None
    caption_language: str | None = None
    caption_kept_generation: int | None = None
    caption_forced_generation: int | None = None
    processed_ms: int | None = None
    processing_ms: int | None = None
    error: Mapping[str, str] | None = None
    request_id: str | None = None

    @classmethod
    def new(
        cls,
        image_id: str,
        key: str,
        *,
        now_ms: int,
        original_name: str,
        source: str,
        content_type: str | None = None,
        size_bytes: int | None = None,
        announced_bytes: int | None = None,
        announced_sha256: str | None = None,
        request_digest: str | None = None,
        deadline: int = 0,
        upload_until: int = 0,
    ) -> Record:
        """Return the first record of an image. A `rev` of 0 means that it is not in the table yet."""
        return cls(
            image_id=image_id,
            key=key,
            rev=0,
            status=Status.PENDING,
            generation=1,
            created_ms=now_ms,
            requested_ms=now_ms,
            original_name=original_name,
            source=source,
            content_type=content_type,
            size_bytes=size_bytes,
            announced_bytes=announced_bytes,
            announced_sha256=announced_sha256,
            request_digest=request_digest,
            deadline=deadline,
            upload_until=upload_until,
        )

    def deletion_covers(self, stored: StoredObject) -> bool:
        """Whether the deletion of this image also removes that object. Any other object is a new image.

        It covers the version that it names, and any object that was uploaded with a URL issued before the deletion.
        """
        return self.version in (None, stored.version) or stored.modified_ms <= self.upload_until

    def is_finished_for(self, version: str) -> bool:
        """Whether the outcome on the record is that of `version` in the current generation."""
        return (
            self.status in (Status.SUCCESS, Status.FAILED)
            and self.finished_version == version
            and self.finished_generation == self.generation
        )

    def has_live_lease(self, now_ms: int) -> bool:
        """Whether a worker may still be processing the image."""
        return self.status is Status.PROCESSING and self.lease_until > now_ms

    def has_saved(self) -> bool:
        """Whether metadata and thumbnails are of the current version and were made or kept in this generation."""
        saved = self.thumbnails
        return saved is not None and (saved.version, saved.generation) == (self.version, self.generation)

    def has_caption(self) -> bool:
        """Whether the caption is of the current version and was made or kept in this generation."""
        return self.status is Status.SUCCESS or self.caption_kept_generation == self.generation

    def is_open_for_review(self) -> bool:
        """Whether a person has yet to decide about its alt text. "" is a decision: the picture is decorative."""
        return self.status is Status.SUCCESS and self.alt_text is None

    def must_compute_caption(self) -> bool:
        """Whether a reprocess with `force` asked this generation not to copy a caption."""
        return self.caption_forced_generation == self.generation

    @property
    def sha256(self) -> str | None:
        """SHA-256 (hex) of the original, once this version's metadata are saved."""
        if self.metadata is None or self.thumbnails is None or self.thumbnails.version != self.version:
            return None
        digest: str | None = self.metadata.get("sha256")
        return digest

    def keeps_idempotency_key(self, now_ms: int) -> bool:
        """Whether a repeated request with this image's `Idempotency-Key` must still be recognized."""
        return self.request_digest is not None and now_ms < self.created_ms + IDEMPOTENCY_KEY_MS

    def attempts_at(self, version: str) -> int:
        """Number of claims of `version` so far in the current generation."""
        return self.attempts if self.version == version else 0


@dataclass(frozen=True)
class Outcome:
    """The result of a successful attempt, in addition to what it saved before. `Record` describes the fields."""

    caption: str | None
    caption_reason: str | None
    caption_model: str
    caption_recipe: str | None
    caption_confidence: float | None
    caption_flags: tuple[str, ...] | None
    caption_language: str | None
    processing_ms: int


@dataclass(frozen=True)
class Stats:
    """The statistics: the sum of all shards. `histogram` maps bucket number to images (see histogram.py)."""

    counts: Mapping[Status, int] = field(default_factory=dict)
    processing_ms_total: int = 0
    histogram: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NextModel:
    """A caption model that is being downloaded or exported, with its progress in `percent`."""

    name: str
    percent: int


@dataclass(frozen=True)
class ModelQuality:
    """The precision of a caption model, and the shares of captions and tokens that are the same as those of its
    reference. None if they were not compared."""

    precision: str
    identical_captions: float | None = None
    equal_tokens: float | None = None


@dataclass(frozen=True)
class ModelInUse:
    """The caption model that a processor last loaded (None before the first load), and the one to replace it."""

    name: str | None
    next_model: NextModel | None
    quality: ModelQuality | None = None
