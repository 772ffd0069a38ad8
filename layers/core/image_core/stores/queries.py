"""Queries that read more than one record: pages of the list, and records past their deadline."""

from __future__ import annotations

import base64
import binascii
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from image_core.errors import BadCursor
from image_core.keys import is_image_id
from image_core.model import PUBLIC_STATUSES, Record, Status
from image_core.stores.batches import GETS_PER_CALL, Batches
from image_core.stores.items import LISTED, OPEN, deadline_of, from_item, image_id_in, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_FILTERED = 1_000
MAX_COUNTED = 10_000
"""Open images are counted up to this number: 10,000 entries are 1.1 MB, two requests and 140 read units."""
_CURSOR_VERSION = 4
_LATEST_MS = 10**15 - 1
_CREATED = r"(?P<ms>\d{15})#(?P<id>img_\w{26})"
_ORDERS = {
    "created_order": re.compile(_CREATED, re.ASCII),
    "status_order": re.compile(_CREATED + r"#\d{15}", re.ASCII),
    "review_order": re.compile(r"\d{5}-" + _CREATED, re.ASCII),
}


@dataclass(frozen=True)
class Index:
    """One partition of an index of the images table. `order` is the attribute that sorts it."""

    name: str
    hash_name: str
    hash_value: str
    order: str
    ascending: bool = False


@dataclass(frozen=True)
class Listing:
    """Which images a list contains: those with this `status` now, created in [`from_ms`, `until_ms`), with this
    SHA-256 (hex) of the original, and that match the query `q` (as the user wrote it). Newest first, unless
    `oldest_first`.

    With `review`, those that are open for review, lowest confidence first. Only `q` can be combined with it.
    """

    status: Status | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    sha256: str | None = None
    q: str | None = None
    oldest_first: bool = False
    review: bool = False

    @property
    def index(self) -> Index:
        """The index that the list is read from. With both `sha256` and `status`, the status is checked later."""
        if self.review:
            return Index("by_review", "review", OPEN, "review_order", ascending=True)
        if self.sha256 is not None:
            return Index("by_content", "content", self.sha256, "created_order", self.oldest_first)
        if self.status is not None:
            return Index("by_status", "status", str(self.status), "status_order", self.oldest_first)
        return Index("by_created", "listed", LISTED, "created_order", self.oldest_first)

    @property
    def bounds(self) -> tuple[int, int]:
        """First and last ms since 1970 in the range. If the range is empty, the last is before the first."""
        first = 0 if self.from_ms is None else max(0, self.from_ms)
        last = _LATEST_MS if self.until_ms is None else min(_LATEST_MS, self.until_ms - 1)
        return first, last

    def contains(self, record: Record) -> bool:
        """Whether a record has the status and the SHA-256 of the list now, and is open if only those are wanted."""
        return (
            record.status in PUBLIC_STATUSES
            and self.status in (None, record.status)
            and self.sha256 in (None, record.sha256)
            and (not self.review or record.is_open_for_review())
        )


@dataclass(frozen=True)
class Page:
    """Records in the order of the list, and the cursor of the next page (None on the last one).

    `orders` has the position of each record in the list.
    """

    listing: Listing
    records: list[Record]
    orders: list[str]
    next_cursor: str | None

    def first(self, count: int) -> Page:
        """Cut the page to its first `count` records (1 or more). Its cursor continues right after them."""
        if count >= len(self.records):
            return self
        cursor = encode_cursor(self.listing, self.orders[count - 1])
        return Page(self.listing, self.records[:count], self.orders[:count], cursor)


def encode_cursor(listing: Listing, order: str) -> str:
    """Return an opaque cursor that continues after the entry `order` of that list."""
    parts = {"v": _CURSOR_VERSION, **asdict(listing), "after": order}
    # Escaped, a query of 200 emoji would be three times as long, and the cursor is a part of the next URL.
    payload = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, listing: Listing, *, in_search: bool = False) -> str:
    """Return the entry that a cursor continues after, in the list's index or in the search index.

    Raises `BadCursor` if the cursor is not from this list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        payload = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        version, order = payload.pop("v"), payload.pop("after")
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCursor from error
    form = _ORDERS["created_order" if in_search else listing.index.order]
    match = form.fullmatch(order) if isinstance(order, str) else None
    if version != _CURSOR_VERSION or payload != asdict(listing) or not match or not is_image_id(match["id"]):
        raise BadCursor
    first, last = listing.bounds
    if not first <= int(match["ms"]) <= last:
        raise BadCursor  # DynamoDB rejects a start outside of the queried range
    return str(order)


class Queries:
    """Reads of the images table. `client` is a DynamoDB client; nothing is kept between calls."""

    def __init__(
        self, client: DynamoDBClient, images_table: str, *, sleep: Callable[[float], None], rng: random.Random
    ) -> None:
        self._client = client
        self._table = images_table
        self._batches = Batches(client, images_table, sleep=sleep, rng=rng)

    def read(
        self,
        listing: Listing,
        *,
        limit: int,
        cursor: str | None = None,
        matches: Callable[[Record], bool] | None = None,
    ) -> Page:
        """Read up to `limit` (1 to 100) visible records, in the order of the list.

        The cost depends on the page, not on the table. With `matches`, records for which it is false are left out,
        and a page also ends after reading MAX_FILTERED of them. Raises `BadCursor`.
        """
        order_name = listing.index.order
        after = decode_cursor(cursor, listing) if cursor is not None else None
        first, last = listing.bounds
        if first > last:
            return Page(listing, [], [], None)
        found: list[Record] = []
        orders: list[str] = []
        read = 0
        while True:
            count = limit - len(found) if matches is None else GETS_PER_CALL
            entries, is_last = self._entries(listing, limit=count, after=after)
            read += len(entries)
            order_of = {entry["image_id"]["S"]: entry[order_name]["S"] for entry in entries}
            for record in self.get_many(list(order_of)):
                # The index lags behind the table: records that have changed since no longer belong here.
                if listing.contains(record) and (matches is None or matches(record)):
                    found.append(record)
                    orders.append(order_of[record.image_id])
            if entries:
                after = entries[-1][order_name]["S"]
            ended = is_last or after is None
            if ended and len(found) <= limit:
                return Page(listing, found, orders, None)
            if len(found) >= limit or (matches is not None and read >= MAX_FILTERED):
                assert after is not None
                return Page(listing, found, orders, encode_cursor(listing, after)).first(limit)

    def same_content(self, sha256: str, *, limit: int, newest_first: bool) -> list[str]:
        """Read the ids of up to `limit` images whose original has this SHA-256. The index may lag behind."""
        entries, _ = self._entries(Listing(sha256=sha256), limit=limit, ascending=not newest_first)
        return [entry["image_id"]["S"] for entry in entries]

    def count_open(self) -> int:
        """The number of images that are open for review, up to MAX_COUNTED. The index may lag behind."""
        index, counted = Listing(review=True).index, 0
        start: dict[str, Any] = {}
        while counted < MAX_COUNTED:
            response = self._client.query(
                TableName=self._table,
                IndexName=index.name,
                KeyConditionExpression="#hash = :hash",
                ExpressionAttributeNames={"#hash": index.hash_name},
                ExpressionAttributeValues={":hash": {"S": index.hash_value}},
                Select="COUNT",
                Limit=MAX_COUNTED - counted,
                **start,
            )
            counted += response["Count"]
            if "LastEvaluatedKey" not in response:
                break
            start = {"ExclusiveStartKey": response["LastEvaluatedKey"]}
        return counted

    def _entries(
        self, listing: Listing, *, limit: int, after: str | None = None, ascending: bool | None = None
    ) -> tuple[list[dict[str, Any]], bool]:
        """Read up to `limit` entries of the list's index, and whether they are the last ones."""
        index = listing.index
        arguments: dict[str, Any] = {}
        if after is not None:
            arguments["ExclusiveStartKey"] = {
                index.hash_name: {"S": index.hash_value},
                index.order: {"S": after},
                "image_id": {"S": image_id_in(after)},
            }
        condition, names = "#hash = :hash", {"#hash": index.hash_name}
        values = {":hash": {"S": index.hash_value}}
        if listing.from_ms is not None or listing.until_ms is not None:
            first, last = listing.bounds
            condition += " AND #order BETWEEN :first AND :last"
            names["#order"] = index.order
            # "~" sorts after every id of that millisecond.
            values |= {":first": {"S": f"{first:015d}#"}, ":last": {"S": f"{last:015d}#~"}}
        response = self._client.query(
            TableName=self._table,
            IndexName=index.name,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ScanIndexForward=index.ascending if ascending is None else ascending,
            # One more than needed, to know whether there is a next page.
            Limit=limit + 1,
            **arguments,
        )
        entries: list[dict[str, Any]] = list(response["Items"])
        more = len(entries) > limit or "LastEvaluatedKey" in response
        return entries[:limit], not more

    def get_many(self, image_ids: Sequence[str]) -> list[Record]:
        """Read the current records of these distinct ids, in the order of the ids. Missing ones are left out."""
        items = self._batches.get([{"image_id": {"S": image_id}} for image_id in image_ids])
        by_id = {record.image_id: record for record in map(from_item, items)}
        return [by_id[image_id] for image_id in image_ids if image_id in by_id]

    def overdue(self, status: Status, now_ms: int) -> Iterator[str]:
        """Ids of the records in `status` whose deadline has passed, oldest first. The index may lag behind."""
        start: dict[str, Any] = {}
        while True:
            response = self._client.query(
                TableName=self._table,
                IndexName="by_status",
                KeyConditionExpression="#status = :status",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":status": {"S": str(status)}},
                **start,
            )
            for entry in response["Items"]:
                if deadline_of(entry["status_order"]["S"]) <= now_ms:
                    yield entry["image_id"]["S"]
            if "LastEvaluatedKey" not in response:
                return
            start = {"ExclusiveStartKey": response["LastEvaluatedKey"]}

    def every(self) -> Iterator[Record]:
        """All records, including hidden ones, unordered. This is a scan, for reconciliation."""
        yield from map(from_item, self._scan())

    def every_outdated(self) -> Iterator[Record]:
        """The records whose items lack index keys that this version of the code writes. This is a scan."""
        for item in self._scan():
            record = from_item(item)
            if to_item(record).keys() - item.keys():
                yield record

    def _scan(self) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            response = self._client.scan(TableName=self._table, ConsistentRead=True, **start)
            yield from response["Items"]
            if "LastEvaluatedKey" not in response:
                return
            start = {"ExclusiveStartKey": response["LastEvaluatedKey"]}
