"""What a record counts for in the statistics, and the difference that a transition makes.

Because the difference is always computed from the two records of the transition, the counters equal a recount
by construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from image_core.histogram import bucket_of
from image_core.models import SHOWN_STATUSES, Record, Stats, Status

STATS_NAME = "images"
"""Hash key of the counter items; the range key is the shard's number."""

_TIME_TOTAL = "processing_ms_total"
_BUCKET_PREFIX = "bucket_"


def contribution(record: Record | None) -> Counter[str]:
    """What one record adds to the counters, by attribute name."""
    counts: Counter[str] = Counter()
    if record is None or record.status not in SHOWN_STATUSES:
        return counts
    counts[record.status.value] = 1
    if record.status is Status.SUCCESS and record.processing_ms is not None:
        counts[_TIME_TOTAL] = record.processing_ms
        counts[f"{_BUCKET_PREFIX}{bucket_of(record.processing_ms)}"] = 1
    return counts


def difference(old: Record | None, new: Record | None) -> dict[str, int]:
    """What replacing `old` by `new` adds to each counter; counters that stay are left out."""
    change = contribution(new)
    change.subtract(contribution(old))
    return {name: amount for name, amount in change.items() if amount}


def update_of(change: Mapping[str, int], table: str, shard: int) -> dict[str, Any]:
    """The part of a transaction that moves the counters of one shard."""
    names = sorted(change)
    return {
        "Update": {
            "TableName": table,
            "Key": {"name": {"S": STATS_NAME}, "shard": {"N": str(shard)}},
            "UpdateExpression": "ADD " + ", ".join(f"#c{i} :c{i}" for i in range(len(names))),
            "ExpressionAttributeNames": {f"#c{i}": name for i, name in enumerate(names)},
            "ExpressionAttributeValues": {f":c{i}": {"N": str(change[name])} for i, name in enumerate(names)},
        }
    }


def added_up(counts: Counter[str]) -> Stats:
    """Statistics from counters by attribute name."""
    return Stats(
        counts={status: counts[status.value] for status in SHOWN_STATUSES},
        processing_ms_total=counts[_TIME_TOTAL],
        histogram={
            int(name.removeprefix(_BUCKET_PREFIX)): count
            for name, count in counts.items()
            if name.startswith(_BUCKET_PREFIX) and count
        },
    )


def stats_of_shards(items: Iterable[Mapping[str, Any]]) -> Stats:
    """The statistics that the shards' items add up to."""
    counts: Counter[str] = Counter()
    for item in items:
        for name, value in item.items():
            if name != "shard" and "N" in value:
                counts[name] += int(value["N"])
    return added_up(counts)


def recount(records: Iterable[Record]) -> Stats:
    """The statistics that the counters should show for these records."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(contribution(record))
    return added_up(counts)
