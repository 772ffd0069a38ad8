"""Listings of buckets whose cost depends on the page, not on the bucket.

moto reads and sorts all keys of a bucket for each page of `ListObjectsV2`. Here a bucket keeps its keys sorted, and
moto builds the response from a bucket that contains only the keys of the page.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any

import moto.s3.models as moto_s3
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.utils import _VersionedKeyStore

from local.moto_patches.replacing import replace, wrap


def apply() -> None:
    """Keep keys sorted, and use them for listings."""
    replace(moto_s3, "_VersionedKeyStore", _SortedKeys)
    wrap(S3Backend, "list_objects_v2", _list_objects_v2)


class _SortedKeys(_VersionedKeyStore):
    """moto's keys of a bucket with their versions, in sorted order."""

    def __init__(self) -> None:
        super().__init__()
        self._in_order: list[str] = []

    def __setitem__(self, key: str, value: Any) -> None:
        self._add(key)
        super().__setitem__(key, value)

    def setlist(self, key: str, list_: Any) -> None:
        self._add(key)
        super().setlist(key, list_)

    def pop(self, key: str) -> None:  # type: ignore[override]
        super().pop(key)
        del self._in_order[bisect_left(self._in_order, key)]

    def _add(self, key: str) -> None:
        if key not in self:
            insort(self._in_order, key)

    def after(self, start: str | None, prefix: str) -> Iterator[str]:
        """The keys with this prefix that come after `start`, in order."""
        first = bisect_left(self._in_order, prefix)
        if start is not None:
            first = max(first, bisect_right(self._in_order, start))
        for number in range(first, len(self._in_order)):
            key = self._in_order[number]
            if not key.startswith(prefix):
                return
            yield key


def _list_objects_v2(
    original: Callable[..., Any],
    backend: S3Backend,
    bucket: FakeBucket,
    prefix: str | None,
    delimiter: str | None,
    continuation_token: str | None,
    start_after: str | None,
    max_keys: int,
) -> Any:
    listed = bucket
    if isinstance(bucket.keys, _SortedKeys):
        start = backend._pagination_tokens.get(continuation_token) if continuation_token else start_after
        # With a delimiter, many keys are one entry of the page, which may have begun on the previous page.
        is_bounded = not delimiter
        listed = copy.copy(bucket)
        listed.keys = _VersionedKeyStore()
        visible = 0
        for key in bucket.keys.after(start if is_bounded else None, prefix or ""):
            versions = bucket.keys.getlist(key)
            listed.keys.setlist(key, versions)
            visible += not isinstance(versions[-1], FakeDeleteMarker)
            if is_bounded and visible > max_keys:  # with one more key, moto knows that there is a next page
                break
    return original(backend, listed, prefix, delimiter, continuation_token, start_after, max_keys)
