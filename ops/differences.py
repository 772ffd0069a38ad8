"""What reconciliation can find, and the pure decisions about it: no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from image_core.keys import claimed_image_id, derived_image_id, is_folder_marker, thumbnail_owner
from image_core.model import Record, Status, StoredObject
from image_core.stores.objects import Listed


class Kind(StrEnum):
    """The differences between bucket, table, thumbnails and counters, by what is wrong."""

    NO_RECORD = "image_without_record"
    NO_ORIGINAL = "record_without_original"
    OUTDATED = "record_of_another_version"
    NO_THUMBNAILS = "thumbnails_missing"
    ORPHANS = "orphaned_thumbnails"
    STUCK = "stuck"
    COUNTERS = "counters"


@dataclass(frozen=True)
class Difference:
    """One finding: about which image, and which keys (the original's, or those of the thumbnails)."""

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
    """What is wrong with a record, given the object under its key and which of its thumbnails are not there.

    `min_age_ms`: an object younger than this has an event that may still be under way. `stuck_after_ms`: so long
    after its deadline an image was missed by the sweep, too. An unfinished record is not compared with object and
    thumbnails: workers and sweep are at it.
    """
    if record.status not in (Status.SUCCESS, Status.FAILED):
        overdue_ms = now_ms - record.deadline
        if overdue_ms <= stuck_after_ms:
            return None
        return _about(record, Kind.STUCK, f"{record.status} {overdue_ms // 1000} s past its deadline")
    if stored is None:
        # Without a version no object was ever seen: an upload that never arrived has failed, and stays to be seen.
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
    """Whether `judge` looks at the object and the thumbnails of this record."""
    return record.status in (Status.SUCCESS, Status.FAILED)


def _about(record: Record, kind: Kind, detail: str) -> Difference:
    return Difference(kind, record.image_id, (record.key,), detail)


def possible_ids(bucket: str, key: str) -> list[str]:
    """The ids under one of which a record of this key may be, the likelier first (see lifecycle/state.py)."""
    claimed, derived = claimed_image_id(key), derived_image_id(bucket, key)
    return [derived] if claimed is None else [claimed, derived]


def without_record(
    page: Iterable[Listed], records: Mapping[str, Record], *, bucket: str, now_ms: int, min_age_ms: int
) -> list[Listed]:
    """The objects of a page that no record stands for, leaving out folder markers and those too young to tell."""
    return [
        listed
        for listed in page
        if not is_folder_marker(listed.key, listed.size_bytes)
        and _age(listed, now_ms) >= min_age_ms
        and not _has_record(listed.key, records, bucket)
    ]


def _age(found: StoredObject | Listed, now_ms: int) -> int:
    # Our clock and S3's are two.
    return max(0, now_ms - found.modified_ms)


def _has_record(key: str, records: Mapping[str, Record], bucket: str) -> bool:
    *claimed, derived = possible_ids(bucket, key)
    return derived in records or any(i in records and records[i].key == key for i in claimed)


def orphans(keys: Iterable[str], records: Mapping[str, Record]) -> dict[str, list[str]]:
    """The thumbnails, by image, that nobody serves or ever will; `records` were read after `keys` were listed.

    A thumbnail is put after its attempt was claimed, and an attempt that has left a record never comes back: so if
    the record names it neither as the attempt at hand (however old: its worker may yet save) nor by its thumbnails,
    it is garbage. An image that is being deleted is left to its deletion. Keys that are no thumbnails are ignored.
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
    """What has to be added to each counter to make it what the recount found; those that are right are left out."""
    names = {*recounted, *counters}
    change = {name: recounted.get(name, 0) - counters.get(name, 0) for name in sorted(names)}
    return {name: amount for name, amount in change.items() if amount}
