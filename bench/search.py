"""`python -m bench.search`: what a search reads, by the number of images, and how long it takes on the local stack.

Reads are counted on tables whose items are computed when they are read, so that a million images fit into memory.
The code that searches is that of the API.
"""

# ruff: noqa: N803, S311  # names of boto3; nothing is secret here
from __future__ import annotations

import argparse
import random
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from statistics import quantiles
from typing import Any

import httpx

from bench.local_stack import local_stack
from bench.report import machine, table
from image_core.clock import Clock
from image_core.model import Record, Status
from image_core.stores.images import Records
from image_core.stores.items import Item, created_order, image_id_in, to_item
from image_core.stores.queries import Listing
from image_core.stores.search import SearchIndex
from image_core.stores.search_items import entries_of, key_of
from ops.target import local_stack as local_target
from tests.searches import drawn, queries

SIZES = (1_000, 100_000, 1_000_000)
LIMIT = 20
HAS_WORD: dict[str, Callable[[int], bool]] = {
    "common": lambda _: True,
    "left": lambda number: number % 2 == 0,
    "right": lambda number: number % 2 == 1 or number % 10_000 == 0,
    "seldom": lambda number: number % 500 == 7,
}
"""Words of the image with this number. The higher the number, the newer the image."""
QUERIES = {
    "a word of every 500th image": "seldom ",
    "a frequent word": "left ",
    "two frequent words that often meet": "left common ",
    "two frequent words that meet in every 10,000th image": "left right ",
    "a frequent and a rare word": "common seldom ",
    "a phrase of two frequent words": '"common left"',
    "a prefix": "seld",
    "a frequent word without another": "left -right ",
}
FILLER = "a photograph of two people on an old wooden bench in front of the sea"
FIRST_MS = 1_700_000_000_000
INDEX_BYTES = 100
"""What DynamoDB adds to each item when it counts storage.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
IMAGES, SEARCHES = 2_000, 200


class Tables:
    """The images table and the search index of `size` images, as a DynamoDB client that counts what it reads."""

    def __init__(self, size: int) -> None:
        self._numbers = {word: [n for n in range(size) if has(n)] for word, has in HAS_WORD.items()}
        self.requests = self.entries = self.records = 0
        self.units = 0.0

    def query(
        self,
        *,
        ExpressionAttributeValues: dict[str, Any],
        Limit: int,
        ExclusiveStartKey: Item | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Read entries of a stem, newest first, or words of the dictionary."""
        stem, first = (ExpressionAttributeValues[name]["S"] for name in (":stem", ":first"))
        if stem.startswith("#"):
            words = [word for word in sorted(HAS_WORD) if word.startswith(first)]
            items = [{"stem": {"S": stem}, "created_order": {"S": word}} for word in words]
            return self._counted(items, {"Items": items})
        numbers, before = self._numbers.get(stem, []), len(self._numbers.get(stem, []))
        if ExclusiveStartKey is not None:
            before = bisect_left(numbers, _number(image_id_in(ExclusiveStartKey["created_order"]["S"])))
        items = [_entry(stem, number) for number in reversed(numbers[max(0, before - Limit) : before])]
        response: dict[str, Any] = {"Items": items}
        if before > Limit:
            response["LastEvaluatedKey"] = {name: items[-1][name] for name in ("stem", "created_order")}
        return self._counted(items, response)

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Read records by their ids."""
        ((name, wanted),) = RequestItems.items()
        items = [to_item(_record(_number(key["image_id"]["S"]))) for key in wanted["Keys"]]
        self.requests += 1
        self.records += len(items)
        self.units += sum(-(-_size(item) // 4096) for item in items)  # consistent, each rounded up to 4 KB
        return {"Responses": {name: items}}

    def _counted(self, items: Sequence[Item], response: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        self.entries += len(items)
        self.units += (
            max(1, -(-sum(map(_size, items)) // 4096)) / 2
        )  # eventually consistent, all of them rounded up
        return response


def _record(number: int) -> Record:
    record, _ = _content(number % 100, tuple(word for word, has in HAS_WORD.items() if has(number)))
    return replace(record, image_id=f"img_{number:026}", created_ms=FIRST_MS + number)


@cache
def _content(seed: int, words: tuple[str, ...]) -> tuple[Record, str]:
    """Return a record with these words, and the stems of its entries."""
    caption = f"{' '.join(words)} {FILLER}"
    record = replace(drawn(seed, random.Random(seed)), status=Status.SUCCESS, caption=caption)
    return record, next(iter(entries_of(record).values()))


def _number(image_id: str) -> int:
    return int(image_id.removeprefix("img_"))


def _entry(stem: str, number: int) -> Item:
    _, text = _content(number % 100, tuple(word for word, has in HAS_WORD.items() if has(number)))
    order = created_order(FIRST_MS + number, f"img_{number:026}")
    return {"stem": {"S": stem}, "created_order": {"S": order}, "t": {"S": text}}


def _size(item: Item) -> int:
    return sum(len(name) + len(str(next(iter(value.values()))).encode()) for name, value in item.items())


def _pages(query: str, tables: Tables) -> Iterator[int]:
    """Follow the cursors of a search; yields the number of images on each page."""
    client: Any = tables
    records = Records(client, images_table="images", stats_table="stats", stats_shards=1, clock=Clock())
    index = SearchIndex(client, "search", records=records)
    cursor = None
    while True:
        page = index.find(Listing(q=query), limit=LIMIT, cursor=cursor).page
        yield len(page.records)
        cursor = page.next_cursor
        if cursor is None:
            return


def size_of_an_image() -> str:
    """Count the entries of one image with a caption, a camera's file name and a camera."""
    record = replace(
        _record(1),
        caption=FILLER,
        title=None,
        alt_text=None,
        tags=None,
        original_name="IMG_2041.jpg",
        metadata={"exif": {"Make": "Canon", "Model": "Canon EOS R5"}},
    )
    items = [key_of(key) | {"t": {"S": text}} for key, text in entries_of(record).items()]
    total = sum(_size(item) + INDEX_BYTES for item in items)
    return (
        f"An image named {record.original_name} with the caption “{FILLER}”: {len(items)} entries, {total:,} bytes."
    )


def reads() -> str:
    """Count what the first page of each query reads."""
    rows = []
    for size in SIZES:
        tables = Tables(size)
        for name, query in QUERIES.items():
            tables.requests = tables.entries = tables.records = 0
            tables.units = 0.0
            found = next(_pages(query, tables))
            counts = (found, tables.requests, tables.entries, tables.records)
            rows.append([f"{size:,}: {name}", *(f"{count:,}" for count in counts), f"{tables.units:.1f}"])
    return table(["images: query", "found", "requests", "entries", "records", "read units"], rows)


def all_pages() -> str:
    """Count what it takes to read the whole result of two frequent words that rarely meet."""
    rows = []
    for size in SIZES:
        tables = Tables(size)
        pages = list(_pages("left right ", tables))
        counts = (sum(pages), len(pages), pages.count(0), tables.requests, tables.entries)
        rows.append([f"{size:,}", *(f"{count:,}" for count in counts), f"{tables.units:,.0f}"])
    return table(["images", "found", "pages", "empty pages", "requests", "entries", "read units"], rows)


def times() -> str:
    """Time searches on a local stack."""
    rng = random.Random(20)
    records = [drawn(number, rng) for number in range(IMAGES)]
    with local_stack() as stack, httpx.Client(base_url=stack.api_url, timeout=60) as api:
        services = local_target(stack.file).connect(workers=1)
        client = services.clients["dynamodb"].get()
        for record in records:
            client.put_item(TableName=services.settings.images_table, Item=to_item(record))
        searchable = {record.image_id for record in records}
        while searchable - {image_id_in(key.order) for key in services.search.every_key()}:
            time.sleep(1)
        rows = [
            ["a search", *_timed(api, [{"q": query} for query, _ in queries(SEARCHES)])],
            ["a page of the list", *_timed(api, [{} for _ in range(SEARCHES)])],
        ]
    return table([f"{SEARCHES} requests, ms", "p50", "p95", "max"], rows)


def _timed(api: httpx.Client, parameters: Sequence[dict[str, str]]) -> list[str]:
    taken = []
    for one in parameters:
        started = time.perf_counter()
        response = api.get("/api/images", params={"limit": str(LIMIT), **one})
        taken.append((time.perf_counter() - started) * 1000)
        response.raise_for_status()
    cuts = quantiles(taken, n=20)
    return [f"{cuts[9]:.0f}", f"{cuts[18]:.0f}", f"{max(taken):.0f}"]


def main() -> None:
    """Entry point."""
    argparse.ArgumentParser(prog="python -m bench.search", description=__doc__).parse_args()
    print(f"\n## Search\n\n{machine('boto3', 'moto', 'snowballstemmer')}\n")
    print(f"{size_of_an_image()}\n")
    print(f"The first page (limit {LIMIT}):\n\n{reads()}\n")
    print(f"All pages (limit {LIMIT}) of two frequent words that meet in every 10,000th image:\n\n{all_pages()}\n")
    print(f"{IMAGES:,} images on the local stack:\n\n{times()}\n")


if __name__ == "__main__":
    main()
