"""The part of S3 that the pipeline uses: versions, delete markers, conditions, listings, notifications."""

from __future__ import annotations

import hashlib
import itertools
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.simulation.errors import closed, refusal


@dataclass(frozen=True)
class Version:
    """One version of a key. A delete marker has no body."""

    version_id: str
    body: bytes | None
    etag: str
    modified: float
    content_type: str


class Body:
    """The stream that GetObject returns. A `broken` stream ends early with an error."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.broken = False

    def read(self) -> bytes:
        if self.broken:
            raise closed()
        return self.data


class Bucket:
    """Versions by key (newest last), and the sorted keys whose newest version is not a delete marker."""

    def __init__(self, *, versioned: bool) -> None:
        self.versioned = versioned
        self.versions: dict[str, list[Version]] = {}
        self.keys: list[str] = []

    def newest(self, key: str) -> Version | None:
        """Return the current object under a key."""
        versions = self.versions.get(key)
        return versions[-1] if versions and versions[-1].body is not None else None


Notify = Callable[[str, str, str, Version], None]
"""Receives bucket, event name, key and the new version."""


class FakeS3:
    """`now` returns the time in seconds since 1970, `page` the number of keys on a page of a listing."""

    def __init__(self, now: Callable[[], float], *, page: Callable[[], int] = lambda: 1000) -> None:
        self._now = now
        self._page = page
        self._numbers = itertools.count(1)
        self.buckets: dict[str, Bucket] = {}
        self.notify: Notify = lambda *_: None
        self.on_delete: Callable[[str, str], None] = lambda *_: None
        self._presigned: dict[str, tuple[dict[str, Any], float]] = {}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any = b"",
        ContentType: str = "binary/octet-stream",
        IfNoneMatch: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "PutObject")
        if IfNoneMatch == "*" and bucket.newest(Key) is not None:
            raise _failed("PutObject", "If-None-Match")
        if not isinstance(Body, bytes):
            # botocore seeks back before each try, so a retry sends the whole body again.
            Body.seek(0)
            Body = Body.read()
        version = self._add(bucket, Key, Body, ContentType)
        self.notify(Bucket, "ObjectCreated:Put", Key, version)
        return {"ETag": version.etag} | ({"VersionId": version.version_id} if bucket.versioned else {})

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "HeadObject")
        version = bucket.newest(Key)
        if version is None:
            raise refusal("s3", "HeadObject", "404", "Not Found", 404)
        return self._described(bucket, version)

    def get_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "GetObject")
        if VersionId is not None:
            found = [v for v in bucket.versions.get(Key, []) if v.version_id == VersionId]
            if not found:
                raise refusal("s3", "GetObject", "NoSuchVersion", "The specified version does not exist.", 404)
            if found[0].body is None:
                raise refusal("s3", "GetObject", "MethodNotAllowed", http=405)
        version = found[0] if VersionId is not None else bucket.newest(Key)
        if version is None:
            raise refusal("s3", "GetObject", "NoSuchKey", "The specified key does not exist.", 404)
        if IfMatch is not None and IfMatch != version.etag:
            raise _failed("GetObject", "If-Match")
        assert version.body is not None
        return self._described(bucket, version) | {"Body": globals()["Body"](version.body)}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str | None = None) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "DeleteObject")
        version = bucket.newest(Key)
        if IfMatch is not None:
            if version is None:
                raise refusal("s3", "DeleteObject", "NoSuchKey", "The specified key does not exist.", 404)
            if version.etag != IfMatch:
                raise _failed("DeleteObject", "If-Match")
        return self._remove(Bucket, bucket, Key)

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "DeleteObjects")
        keys = [entry["Key"] for entry in Delete["Objects"]]
        if not keys:
            raise refusal("s3", "DeleteObjects", "MalformedXML", "The XML you provided was not well-formed.")
        for key in keys:
            self._remove(Bucket, bucket, key)
        return {} if Delete.get("Quiet") else {"Deleted": [{"Key": key} for key in keys]}

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        StartAfter: str = "",
        ContinuationToken: str = "",
        MaxKeys: int = 1000,
    ) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "ListObjectsV2")
        after = ContinuationToken or StartAfter
        first = bisect_right(bucket.keys, after) if after >= Prefix and after else _first(bucket.keys, Prefix)
        keys = list(itertools.takewhile(lambda key: key.startswith(Prefix), bucket.keys[first:]))
        limit = min(MaxKeys, self._page())
        contents = []
        for key in keys[:limit]:
            version = bucket.newest(key)
            assert version is not None and version.body is not None
            contents.append(
                {
                    "Key": key,
                    "ETag": version.etag,
                    "Size": len(version.body),
                    "LastModified": _time(version.modified),
                }
            )
        response: dict[str, Any] = {"KeyCount": len(contents), "IsTruncated": len(keys) > limit}
        if contents:
            response["Contents"] = contents
        if len(keys) > limit:
            response["NextContinuationToken"] = keys[limit - 1]
        return response

    def presign(self, operation: str, parameters: dict[str, Any], seconds: int) -> str:
        """Return a URL that allows this one call until it expires."""
        url = f"https://{parameters['Bucket']}.s3.invalid/{parameters['Key']}?{operation}={next(self._numbers)}"
        self._presigned[url] = (parameters, self._now() + seconds)
        return url

    def put_to(self, url: str, body: bytes) -> dict[str, Any]:
        """Use a presigned PUT URL."""
        parameters, expires = self._presigned[url]
        if self._now() > expires:
            raise refusal("s3", "PutObject", "AccessDenied", "Request has expired", 403)
        return self.put_object(**parameters, Body=body)

    def _bucket(self, name: str, operation: str) -> Bucket:
        try:
            return self.buckets[name]
        except KeyError:
            if operation == "HeadObject":  # a response without a body has no code except the status
                raise refusal("s3", operation, "404", "Not Found", 404) from None
            raise refusal("s3", operation, "NoSuchBucket", "The specified bucket does not exist", 404) from None

    def _add(self, bucket: Bucket, key: str, body: bytes | None, content_type: str) -> Version:
        etag = f'"{hashlib.md5(body or b"", usedforsecurity=False).hexdigest()}"'
        version = Version(f"v{next(self._numbers):06d}", body, etag, self._now(), content_type)
        listed = bucket.newest(key) is not None
        if bucket.versioned:
            bucket.versions.setdefault(key, []).append(version)
        else:
            bucket.versions[key] = [version]
        if body is not None and not listed:
            insort(bucket.keys, key)
        return version

    def _remove(self, name: str, bucket: Bucket, key: str) -> dict[str, Any]:
        self.on_delete(name, key)
        if bucket.newest(key) is not None:
            bucket.keys.remove(key)
        if not bucket.versioned:
            bucket.versions.pop(key, None)
            return {}
        marker = self._add(bucket, key, None, "")
        self.notify(name, "ObjectRemoved:DeleteMarkerCreated", key, marker)
        return {"DeleteMarker": True, "VersionId": marker.version_id}

    def _described(self, bucket: Bucket, version: Version) -> dict[str, Any]:
        assert version.body is not None
        response = {
            "ETag": version.etag,
            "ContentLength": len(version.body),
            "ContentType": version.content_type,
            "LastModified": _time(version.modified),
        }
        return response | ({"VersionId": version.version_id} if bucket.versioned else {})


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _first(keys: list[str], prefix: str) -> int:
    return bisect_right(keys, prefix) - (prefix in keys)


def _failed(operation: str, condition: str) -> ClientError:
    text = "At least one of the pre-conditions you specified did not hold"
    return refusal("s3", operation, "PreconditionFailed", text, 412, Condition=condition)
