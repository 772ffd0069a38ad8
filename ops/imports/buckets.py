"""The calls to S3 of an import: the bucket that is imported, and the uploads bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from image_core.formats import SNIFFED_BYTES, identify, media_type
from ops.imports.objects import Finding, SourceObject, destination_key
from ops.target import Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MARK = "imported-etag"
"""Metadata of each copy: the ETag of the object that was copied. The copy's own ETag can differ (KMS, parts)."""

_ATTEMPTS = 10
_READ_SECONDS = 300
"""S3 sends the response to a copy only once it is done. A copy from another continent takes longer than a read."""
_ARCHIVED_CODES = ("InvalidObjectState", "ObjectNotInActiveTierError")


class BadSource(Exception):
    """The bucket cannot be imported. The message says why."""


class Unexpected(Exception):
    """One object cannot be imported. The message says why."""


@dataclass(frozen=True)
class Buckets:
    """Both buckets, with a client in the region of each. `formats` are the stack's `AllowedFormats`."""

    source: str
    source_region: str | None
    destination: str
    reader: S3Client
    writer: S3Client
    formats: tuple[str, ...]

    @classmethod
    def connect(cls, source: str, target: Target, *, workers: int) -> Buckets:
        """Find the source's region and build the clients. Raises `BadSource` and boto3's errors."""
        settings = target.settings
        if source in (settings.uploads_bucket, settings.thumbnails_bucket):
            raise BadSource(f"{source} belongs to the stack itself. `ops reconcile` imports its own objects.")
        writer = _client(target, target.session.region_name, workers)
        try:
            region = writer.head_bucket(Bucket=source).get("BucketRegion")
        except ClientError as error:
            if _code(error) in ("404", "NoSuchBucket"):
                raise BadSource(f"There is no bucket {source}.") from error
            raise
        is_elsewhere = region is not None and region != target.session.region_name
        reader = _client(target, region, workers) if is_elsewhere else writer
        return cls(source, region, settings.uploads_bucket, reader, writer, settings.allowed_formats)

    @property
    def crosses_regions(self) -> bool:
        """Whether the bytes go from one region to another."""
        return self.reader is not self.writer

    def pages(self, prefix: str, start_after: str) -> Iterator[list[SourceObject]]:
        """The listing of the source, in the order of the keys, in pages of at most 1,000 objects."""
        wanted: Any = {"Bucket": self.source, "Prefix": prefix, "OptionalObjectAttributes": ["RestoreStatus"]}
        if start_after:
            wanted["StartAfter"] = start_after
        for page in self.reader.get_paginator("list_objects_v2").paginate(**wanted):
            if entries := page.get("Contents"):
                yield [SourceObject.of(entry) for entry in entries]

    def find_copy(self, found: SourceObject) -> Finding:
        """Whether this object was already imported. Raises `Unexpected` if another file has its key."""
        key = destination_key(self.source, found.key)
        try:
            metadata = self.writer.head_object(Bucket=self.destination, Key=key)["Metadata"]
        except ClientError as error:
            if _code(error) not in ("404", "NoSuchKey"):
                raise
            headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
            return Finding.DELETED if headers.get("x-amz-delete-marker") == "true" else Finding.NEW
        if MARK not in metadata:
            raise Unexpected(f"another file has the key {key!r} in the uploads bucket")
        return Finding.IMPORTED if metadata[MARK] == found.etag else Finding.CHANGED

    def format_of(self, found: SourceObject) -> str | None:
        """The object's format by its first bytes, None if the stack does not accept it.

        Raises `ClientError`, for example if the object is gone, or may not be read.
        """
        response = self.reader.get_object(
            Bucket=self.source, Key=found.key, Range=f"bytes=0-{SNIFFED_BYTES - 1}", IfMatch=f'"{found.etag}"'
        )
        name = identify(response["Body"].read())
        return name if name in self.formats else None

    def copy(self, found: SourceObject, name: str) -> None:
        """Copy the object, unless it has changed since it was listed. `name` is its format.

        Metadata and tags are left behind: nobody needs them here, and copying tags requires more permissions.
        """
        self.writer.copy_object(
            Bucket=self.destination,
            Key=destination_key(self.source, found.key),
            CopySource={"Bucket": self.source, "Key": found.key},
            CopySourceIfMatch=f'"{found.etag}"',
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            Metadata={MARK: found.etag},
            ContentType=media_type(name),
        )


def unreadable(error: ClientError) -> Finding | None:
    """Why S3 does not return the bytes of this object. None if the error can have another cause.

    The listing shows neither archive tiers of Intelligent-Tiering nor encryption with an own key (SSE-C).
    """
    if _code(error) in _ARCHIVED_CODES:
        return Finding.ARCHIVED
    if _code(error) == "InvalidRequest" and "Server Side Encryption" in str(error):
        return Finding.ENCRYPTED
    return None


def _client(target: Target, region: str | None, workers: int) -> S3Client:
    endpoint_url = target.settings.aws_endpoint_url
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},  # S3 says SlowDown until it has scaled
        read_timeout=_READ_SECONDS,
        max_pool_connections=max(10, workers),
        s3={"addressing_style": "path" if endpoint_url else "virtual"},
    )
    return target.session.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
