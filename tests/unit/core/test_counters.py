"""Counters: the sum of all transitions equals a recount."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from image_core.histogram import bucket_of
from image_core.model import PUBLIC_STATUSES, Status
from image_core.stores.counters import contribution, difference, reading_of_shards, stats_from_counts, update_of
from tests.recount import recount
from tests.unit.core.builders import record

SHARDS = 3

states = st.none() | st.builds(
    lambda status, processing_ms: record(status=status, processing_ms=processing_ms),
    st.sampled_from(Status),
    st.none() | st.integers(0, 900_000),
)
steps = st.lists(st.tuples(st.integers(0, 4), st.integers(0, SHARDS - 1), states), max_size=40)


class CountersTable:
    """Applies updates as DynamoDB does: `ADD` to numbers that start at 0."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def apply(self, update: dict[str, Any]) -> None:
        names, values = update["ExpressionAttributeNames"], update["ExpressionAttributeValues"]
        item = self.items.setdefault(update["Key"]["shard"]["N"], dict(update["Key"]))
        for addition in update["UpdateExpression"].removeprefix("ADD ").split(", "):
            name, value = addition.split(" ")
            before = int(item.get(names[name], {"N": "0"})["N"])
            item[names[name]] = {"N": str(before + int(values[value]["N"]))}


@given(steps)
def test_the_counters_equal_a_recount_after_any_transitions(steps: list[Any]) -> None:
    records: dict[int, Any] = defaultdict(lambda: None)
    table = CountersTable()
    for image, shard, new in steps:
        change = difference(records[image], new)
        if change:
            table.apply(update_of(change, "stats", shard)["Update"])
        records[image] = new
    assert stats_from_counts(reading_of_shards(table.items.values()).counts) == recount(
        r for r in records.values() if r is not None
    )


def test_hidden_records_are_not_counted() -> None:
    assert contribution(record(status=Status.RESERVED)) == {}
    assert contribution(record(status=Status.DELETING, processing_ms=5)) == {}
    assert contribution(None) == {}


def test_only_successes_add_their_time_to_the_statistics() -> None:
    for status in PUBLIC_STATUSES:
        counted = contribution(record(status=status, processing_ms=420))
        times = {"processing_ms_total": 420, f"bucket_{bucket_of(420)}": 1} if status is Status.SUCCESS else {}
        assert counted == {status.value: 1, **times}


def test_a_transition_that_changes_no_count_writes_none() -> None:
    assert difference(record(status=Status.PROCESSING), record(status=Status.PROCESSING, rev=2)) == {}


def test_a_reprocessed_success_subtracts_its_time() -> None:
    before = record(status=Status.SUCCESS, processing_ms=420)
    after = record(status=Status.PENDING, processing_ms=420)
    assert difference(before, after) == {
        "success": -1,
        "pending": 1,
        "processing_ms_total": -420,
        f"bucket_{bucket_of(420)}": -1,
    }


def test_other_items_in_the_table_are_not_statistics() -> None:
    shard = {"name": {"S": "images"}, "shard": {"N": "7"}, "failed": {"N": "2"}}
    stats = stats_from_counts(reading_of_shards([shard]).counts)
    assert stats.counts == {Status.PENDING: 0, Status.PROCESSING: 0, Status.SUCCESS: 0, Status.FAILED: 2}
    assert stats.histogram == {}
