"""The cost of lists and statistics: as many requests and items read with 100,000 records as with 1,000."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from image_core.clock import Clock
from image_core.keys import derived_image_id
from image_core.model import PUBLIC_STATUSES, Record, Status
from image_core.stores.counters import STATS_NAME, contribution
from image_core.stores.images import Records
from image_core.stores.items import to_item
from image_core.stores.queries import Listing
from tests.functional.emulator import resource
from tests.simulation import dynamodb as simulated

IMAGES, STATS, SHARDS = "images", "stats", 10
FEW, MANY = 1_000, 100_000
FIRST_MS = 1_795_168_800_000


@dataclass(frozen=True)
class Cost:
    """Requests and items read, by operation."""

    requests: Counter[str]
    items: Counter[str]


class Counting:
    """A client around a fake that counts requests and the items that they read."""

    def __init__(self, fake: Any) -> None:
        self._fake = fake
        self.requests: Counter[str] = Counter()
        self.items: Counter[str] = Counter()

    def cost(self) -> Cost:
        """Return the cost since the last call."""
        spent = Cost(self.requests, self.items)
        self.requests, self.items = Counter(), Counter()
        return spent

    def query(self, **arguments: Any) -> Any:
        assert "FilterExpression" not in arguments, "a filter also reads the items that it discards"
        response = self._fake.query(**arguments)
        self._count("query", response["ScannedCount"])
        return response

    def batch_get_item(self, **arguments: Any) -> Any:
        response = self._fake.batch_get_item(**arguments)
        self._count("batch_get_item", sum(map(len, response["Responses"].values())))
        return response

    def get_item(self, **arguments: Any) -> Any:
        response = self._fake.get_item(**arguments)
        self._count("get_item", len(response))
        return response

    def scan(self, **_: Any) -> Any:
        raise AssertionError("nothing that users call reads the whole table")

    def _count(self, operation: str, items: int) -> None:
        self.requests[operation] += 1
        self.items[operation] += items


def image(number: int) -> Record:
    """Return record `number`: every status in turn, a second apart, some in the same millisecond."""
    status = PUBLIC_STATUSES[number % len(PUBLIC_STATUSES)]
    return Record(
        image_id=derived_image_id("costs", str(number)),
        key=f"{number}.jpg",
        rev=1,
        status=status,
        generation=1,
        created_ms=FIRST_MS + number // 3 * 1000,
        original_name=f"{number}.jpg",
        source="bucket",
        processing_ms=100 + number % 400 if status is Status.SUCCESS else None,
    )


@cache
def table_of(size: int) -> Counting:
    """Return a table with `size` records and their statistics."""
    client = Counting(
        simulated.FakeDynamoDB({IMAGES: resource("ImagesTable"), STATS: resource("StatsTable")}, page=lambda: 10**9)
    )
    fake = client._fake
    shards: list[Counter[str]] = [Counter() for _ in range(SHARDS)]
    for number in range(size):
        record = image(number)
        fake.put_item(TableName=IMAGES, Item=to_item(record))
        shards[number % SHARDS].update(contribution(record))
    for shard, counts in enumerate(shards):
        item = {name: {"N": str(count)} for name, count in counts.items()}
        fake.put_item(TableName=STATS, Item={"name": {"S": STATS_NAME}, "shard": {"N": str(shard)}, **item})
    return client


def records_of(size: int) -> tuple[Counting, Records]:
    client = table_of(size)
    client.cost()
    records = Records(client, images_table=IMAGES, stats_table=STATS, stats_shards=SHARDS, clock=Clock())  # type: ignore[arg-type]
    return client, records


def pages(records: Records, count: int, **bounds: Any) -> list[str]:
    """Return the ids on the first `count` pages of twenty."""
    found, cursor = [], None
    for _ in range(count):
        page = records.read(Listing(**bounds), limit=20, cursor=cursor)
        found += [record.image_id for record in page.records]
        cursor = page.next_cursor
    return found


def middle_of(size: int) -> int:
    return FIRST_MS + size // 2 // 3 * 1000


CALLS: dict[str, Callable[[Records, int], object]] = {
    "the first page": lambda records, _: pages(records, 1),
    "ten pages": lambda records, _: pages(records, 10),
    "a page of a hundred": lambda records, _: records.read(Listing(), limit=100),
    "pages of a status": lambda records, _: pages(records, 3, status=Status.FAILED),
    "pages of images to review": lambda records, _: pages(records, 3, review=True),
    "statistics": lambda records, _: records.stats(),
    "an image": lambda records, size: records.get(image(size // 2).image_id),
    "pages behind a time": lambda records, size: pages(records, 3, until_ms=middle_of(size)),
    "pages between two times, of a status": lambda records, size: pages(
        records, 2, status=Status.SUCCESS, from_ms=FIRST_MS, until_ms=middle_of(size)
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _forget_the_tables() -> Iterator[None]:
    yield
    table_of.cache_clear()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_costs_the_same_with_a_thousand_and_a_hundred_thousand_records(call: str) -> None:
    costs = {}
    for size in (FEW, MANY):
        client, records = records_of(size)
        assert CALLS[call](records, size)
        costs[size] = client.cost()
    print(f"{call}: {dict(costs[FEW].requests)} requests, {dict(costs[FEW].items)} items read")
    assert costs[FEW] == costs[MANY]
    assert sum(costs[FEW].requests.values()) > 0


def test_a_page_costs_a_query_of_one_more_item_and_a_batch() -> None:
    client, records = records_of(MANY)
    records.read(Listing(), limit=20)
    assert client.cost() == Cost(
        Counter({"query": 1, "batch_get_item": 1}), Counter({"query": 21, "batch_get_item": 20})
    )


def test_statistics_are_one_query_of_one_item_for_each_shard() -> None:
    client, records = records_of(MANY)
    assert records.stats().counts == dict.fromkeys(PUBLIC_STATUSES, MANY // 4)
    assert client.cost() == Cost(Counter({"query": 1}), Counter({"query": SHARDS}))


def test_the_whole_list_contains_every_image_once() -> None:
    _, records = records_of(FEW)
    found = pages(records, FEW // 20)
    assert len(found) == len(set(found)) == FEW
