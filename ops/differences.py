"""The differences that reconciliation can find, and pure functions that detect them. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from image_core.keys import claimed_image_id, derived_image_id, is_folder_marker, thumbnail_owner
from image_core.model import Record, Status, StoredObject
from image_core.stores.objects import Listed


class Kind(StrEnum):
    """Kinds of differences between bucket, table, thumbnails, search index and counters."""

    NO_RECORD = "image_without_record"
    NO_ORIGINAL = "record_without_original"
    OUTDATED = "record_of_another_version"
    NO_THUMBNAILS = "thumbnails_missing"
    ORPHANS = "orphaned_thumbnails"
    STUCK = "stuck"
    NO_ENTRIES = "search_entries_missing"
    SURPLUS_ENTRIES = "search_entries_surplus"
    COUNTERS = "counters"


@dataclass(frozen=True)
class Difference:
    """One finding, with its image and keys: of the original or the thumbnails, or stems of the search index."""

    kind: Kind
    image_id: str
    keys: tuple[str, ...]
    detail: str = ""


def judge(
    record: Record,
    stored: StoredObject | None,
    *,
    missing: Iterable[str],
    now_ms: int,
    min_age_ms: int,
    stuck_after_ms: int,
) -> Difference | None:
    """Return what is wrong with a record, given the object under its key and its missing thumbnails.

    `min_age_ms`: the event of an object younger than this may still be in transit. `stuck_after_ms`: this long
    after its deadline, the sweep has missed an image, too. An unfinished record is not compared with object and
    thumbnails, because workers and sweep handle it.
    """
    if record.status not in (Status.SUCCESS, Status.FAILED):
        overdue_ms = now_ms - record.deadline
        if overdue_ms <= stuck_after_ms:
            return None
        return _about(record, Kind.STUCK, f"{record.status} {overdue_ms // 1000} s past its deadline")
    if stored is None:
        # Without a version, no object has ever been seen: the upload never arrived. The failed record stays
        # visible.
        return None if record.version is None else _about(record, Kind.NO_ORIGINAL, record.status)
    if not record.is_finished_for(stored.version):
        if _age(stored, now_ms) < min_age_ms:
            return None
        return _about(record, Kind.OUTDATED, f"{record.status} for another version than the bucket's")
    lost = sorted(missing)
    if lost or (record.status is Status.SUCCESS and record.thumbnails is None):
        return _about(record, Kind.NO_THUMBNAILS, f"cannot be read: {', '.join(lost) or 'none recorded'}")
    return None


def needs_objects(record: Record) -> bool:
    """Whether `judge` checks the object and the thumbnails of this record."""
    return record.status in (Status.SUCCESS, Status.FAILED)


def _about(record: Record, kind: Kind, detail: str) -> Difference:
    return Difference(kind, record.image_id, (record.key,), detail)


def possible_ids(bucket: str, key: str) -> list[str]:
    """The possible ids of this key's record, the more likely one first (see lifecycle/state.py)."""
    claimed, derived = claimed_image_id(key), derived_image_id(bucket, key)
    return [derived] if claimed is None else [claimed, derived]


def without_record(
    page: Iterable[Listed], records: Mapping[str, Record], *, bucket: str, now_ms: int, min_age_ms: int
) -> list[Listed]:
    """The objects of a page without a record, except for folder markers and objects that are too new."""
    return [
        listed
        for listed in page
        if not is_folder_marker(listed.key, listed.size_bytes)
        and _age(listed, now_ms) >= min_age_ms
        and not _has_record(listed.key, records, bucket)
    ]


def _age(found: StoredObject | Listed, now_ms: int) -> int:
    # S3's clock can differ from ours.
    return max(0, now_ms - found.modified_ms)


def _has_record(key: str, records: Mapping[str, Record], bucket: str) -> bool:
    *claimed, derived = possible_ids(bucket, key)
    return derived in records or any(i in records and records[i].key == key for i in claimed)


def orphans(keys: Iterable[str], records: Mapping[str, Record]) -> dict[str, list[str]]:
    """The orphaned thumbnails by image, which will never be served. `records` were read after `keys` were listed.

    A thumbnail is stored after its attempt has claimed the record, and an attempt that has left a record never
    returns. So a thumbnail is an orphan if its attempt is neither the record's current attempt (of any age: its
    worker may still save) nor that of the record's thumbnails. Images that are being deleted are left to their
    deletion. Keys that are not thumbnails are ignored.
    """
    found: dict[str, list[str]] = {}
    for key in keys:
        owner = thumbnail_owner(key)
        if owner is None:
            continue
        image_id, attempt = owner
        record = records.get(image_id)
        if record is not None:
            served = record.thumbnails.sizes.values() if record.thumbnails else ()
            is_served = any(info.key == key for info in served)
            if is_served or attempt == record.attempt or record.status is Status.DELETING:
                continue
        found.setdefault(image_id, []).append(key)
    return found


def counter_difference(recounted: Counter[str], counters: Mapping[str, int]) -> dict[str, int]:
    """What must be added to each counter to equal the recount. Correct counters are left out."""
    names = {*recounted, *counters}
    change = {name: recounted.get(name, 0) - counters.get(name, 0) for name in sorted(names)}
    return {name: amount for name, amount in change.items() if amount}
