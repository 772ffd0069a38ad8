"""What a record contributes to the statistics, and how a transition changes the counters.

The change is always computed from the two records of the transition, so the counters equal a recount by
construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from image_core.histogram import bucket_of
from image_core.model import PUBLIC_STATUSES, Record, Stats, Status

STATS_NAME = "images"
"""Hash key of the counter items; the range key is the shard's number."""

CORRECTED_SHARD = 0
"""All corrections go to this shard, so that one condition detects concurrent ones."""

_TIME_TOTAL = "processing_ms_total"
_TRANSITIONS = "transitions"
_CORRECTIONS = "corrections"
_BUCKET_PREFIX = "bucket_"


def contribution(record: Record | None) -> Counter[str]:
    """What one record contributes to the counters, by attribute name."""
    counts: Counter[str] = Counter()
    if record is None or record.status not in PUBLIC_STATUSES:
        return counts
    counts[record.status.value] = 1
    if record.status is Status.SUCCESS and record.processing_ms is not None:
        counts[_TIME_TOTAL] = record.processing_ms
        counts[f"{_BUCKET_PREFIX}{bucket_of(record.processing_ms)}"] = 1
    return counts


def difference(old: Record | None, new: Record | None) -> dict[str, int]:
    """What replacing `old` by `new` adds to each counter. Unchanged counters are left out."""
    change = contribution(new)
    change.subtract(contribution(old))
    return {name: amount for name, amount in change.items() if amount}


def update_of(change: Mapping[str, int], table: str, shard: int) -> dict[str, Any]:
    """The `Update` of a transaction that changes the counters of one shard and counts the transition."""
    return {"Update": _addition({**change, _TRANSITIONS: 1}, table, shard)}


def correction_of(change: Mapping[str, int], table: str, corrections: int) -> dict[str, Any]:
    """The `UpdateItem` that adds `change`, unless the counters were corrected after `corrections` was read."""
    update = _addition({**change, _CORRECTIONS: 1}, table, CORRECTED_SHARD)
    update["ExpressionAttributeNames"]["#corrections"] = _CORRECTIONS
    update["ConditionExpression"] = "attribute_not_exists(#corrections)"
    if corrections:
        update["ConditionExpression"] = "#corrections = :corrections"
        update["ExpressionAttributeValues"][":corrections"] = {"N": str(corrections)}
    return update


def _addition(change: Mapping[str, int], table: str, shard: int) -> dict[str, Any]:
    names = sorted(change)
    return {
        "TableName": table,
        "Key": {"name": {"S": STATS_NAME}, "shard": {"N": str(shard)}},
        "UpdateExpression": "ADD " + ", ".join(f"#c{i} :c{i}" for i in range(len(names))),
        "ExpressionAttributeNames": {f"#c{i}": name for i, name in enumerate(names)},
        "ExpressionAttributeValues": {f":c{i}": {"N": str(change[name])} for i, name in enumerate(names)},
    }


@dataclass(frozen=True)
class Reading:
    """All counters at one moment, by attribute name. Counters that are 0 are left out.

    `transitions` never decreases, and increases with every transition that changes a counter. If two readings have
    the same number, nothing happened between them. `corrections` counts the updates of `correction_of`.
    """

    counts: Mapping[str, int]
    transitions: int
    corrections: int

    def moved_since(self, earlier: Reading) -> int:
        """The number of transitions and corrections between the two readings."""
        return self.transitions - earlier.transitions + self.corrections - earlier.corrections


def reading_of_shards(items: Iterable[Mapping[str, Any]]) -> Reading:
    """Add up the shards' items to one reading."""
    counts: Counter[str] = Counter()
    for item in items:
        for name, value in item.items():
            if name != "shard" and "N" in value:
                counts[name] += int(value["N"])
    transitions, corrections = counts.pop(_TRANSITIONS, 0), counts.pop(_CORRECTIONS, 0)
    return Reading({name: count for name, count in counts.items() if count}, transitions, corrections)


def stats_from_counts(counts: Mapping[str, int]) -> Stats:
    """Statistics from counters by attribute name."""
    return Stats(
        counts={status: counts.get(status.value, 0) for status in PUBLIC_STATUSES},
        processing_ms_total=counts.get(_TIME_TOTAL, 0),
        histogram={
            int(name.removeprefix(_BUCKET_PREFIX)): count
            for name, count in counts.items()
            if name.startswith(_BUCKET_PREFIX) and count
        },
    )
