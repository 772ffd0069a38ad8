"""The part of DynamoDB that the pipeline uses: conditions, transactions, conflicts, lagging indexes, pages."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

from tests.simulation.errors import cancelled, refusal
from tests.simulation.expressions import Attributes, holds, key_condition_of, updated

Key = tuple[Any, ...]
Entry = tuple[Any, Key]
"""An index entry: its range key, and the item's primary key."""


class Index:
    """Sorted entries by hash key. The table itself is an index without lag."""

    def __init__(self, name: str, schema: list[dict[str, str]]) -> None:
        self.name = name
        self.schema = schema
        self.key_names = tuple(part["AttributeName"] for part in schema)
        self.entries: dict[Any, list[Entry]] = {}
        self._latest: dict[Key, tuple[int, Key | None]] = {}

    def key_in(self, item: Mapping[str, Any] | None) -> Key | None:
        """Return the index key of an item, or None if the item is not in the index."""
        if item is None or any(name not in item for name in self.key_names):
            return None
        return tuple(_plain(item[name]) for name in self.key_names)

    def move(self, key: Key, number: int, place: Key | None) -> None:
        """Apply write `number`, which moved the item to `place`.

        Ignores a write that is older than the last one applied.
        """
        latest, old = self._latest.get(key, (-1, None))
        if number < latest:
            return
        self._latest[key] = (number, place)
        if old is not None:
            self.entries[old[0]].remove((old[1:], key))
        if place is not None:
            insort(self.entries.setdefault(place[0], []), (place[1:], key))


class Table:
    """Items by key. `locks` are the keys in active transactions."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self.main = Index("", properties["KeySchema"])
        self.indexes = {
            index["IndexName"]: Index(index["IndexName"], index["KeySchema"])
            for index in properties.get("GlobalSecondaryIndexes", [])
        }
        self.items: dict[Key, Attributes] = {}
        self.locks: set[Key] = set()

    def key(self, item: Mapping[str, Any]) -> Key:
        """Return the primary key of an item."""
        return tuple(_plain(item[name]) for name in self.main.key_names)


class FakeDynamoDB:
    """`page` returns the maximum number of items on a page. The simulation sets the other callables.

    All times are in seconds. `later(seconds, what)` calls `what` after that time, `lag()` returns how far an index
    is
    behind, and `hold()` how long each step of a transaction takes. `on_write(caller, table, old, new)` receives
    every
    change, and so does the stream through `on_change(table, old, new)`.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], *, page: Callable[[], int] = lambda: 1000) -> None:
        self.tables = {name: Table(properties) for name, properties in tables.items()}
        self._page = page
        self._numbers = itertools.count()
        self.later: Callable[[float, Callable[[], object]], object] = lambda _, what: what()
        self.lag: Callable[[], float] = lambda: 0
        self.hold: Callable[[], float] = lambda: 0
        self.mix: Callable[[list[Any]], object] = lambda _: None
        self.on_write: Callable[[str, str, Attributes | None, Attributes | None], None] = lambda *_: None
        self.on_change: Callable[[str, Attributes | None, Attributes | None], None] = lambda *_: None
        self.on_query: Callable[[str], None] = lambda _: None
        self.caller: Callable[[], str] = lambda: ""
        self.unprocessed: Callable[[], bool] = lambda: False
        self.trailing: Callable[[], bool] = lambda: False
        self.under_way = 0
        """The number of partly written transactions."""

    # Reading

    def get_item(self, *, TableName: str, Key: Attributes, ConsistentRead: bool = False) -> dict[str, Any]:
        table = self._table(TableName, "GetItem")
        item = table.items.get(table.key(Key))
        return {"Item": dict(item)} if item is not None else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        responses: dict[str, list[Attributes]] = {}
        left: dict[str, Any] = {}
        for name, request in RequestItems.items():
            table = self._table(name, "BatchGetItem")
            keys = [key for key in request["Keys"] if not self.unprocessed()]
            missing = [key for key in request["Keys"] if key not in keys]
            found = (table.items.get(table.key(key)) for key in keys)
            responses[name] = [dict(item) for item in found if item is not None]
            if missing:
                left[name] = {**request, "Keys": missing}
        return {"Responses": responses, "UnprocessedKeys": left}

    def query(
        self,
        *,
        TableName: str,
        IndexName: str | None = None,
        ScanIndexForward: bool = True,
        Limit: int = 1000,
        ExclusiveStartKey: Attributes | None = None,
        ConsistentRead: bool = False,
        **condition: Any,
    ) -> dict[str, Any]:
        table = self._table(TableName, "Query")
        self.on_query(TableName)
        index = table.main if IndexName is None else table.indexes[IndexName]
        hash_value, between = key_condition_of(condition, index.schema)
        entries = index.entries.get(hash_value, [])
        first, last = 0, len(entries)
        if between is not None:
            if between[0] > between[1]:
                text = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
                raise refusal("dynamodb", "Query", "ValidationException", text)
            first = bisect_left(entries, (between[0],), key=lambda entry: entry[0])
            last = bisect_right(entries, (between[1],), key=lambda entry: entry[0])
        if ExclusiveStartKey is not None:
            start = (_some(index.key_in(ExclusiveStartKey))[1:], table.key(ExclusiveStartKey))
            if between is not None and not between[0] <= start[0][0] <= between[1]:
                text = "The provided starting key is outside query boundaries based on provided conditions"
                raise refusal("dynamodb", "Query", "ValidationException", text)
            if ScanIndexForward:
                first = max(first, bisect_right(entries, start))
            else:
                last = min(last, bisect_left(entries, start))
        # The statistics are one small partition, which always fits on a page.
        size = min(Limit, self._page()) if IndexName is not None else Limit
        matching = entries[first:last] if ScanIndexForward else entries[first:last][::-1]
        if IndexName is None:
            items = [dict(table.items[key]) for _, key in matching[:size]]
        else:
            names = (*index.key_names, *table.main.key_names)
            items = [
                {name: {"S": value} for name, value in zip(names, (hash_value, *ranges, *key), strict=True)}
                for ranges, key in matching[:size]
            ]
        # A full page has a key to continue from, even if no items follow. moto returns none in that case.
        cut = len(matching) > size or (bool(items) and len(matching) == size and self.trailing())
        return _page_of(items, [*index.key_names, *table.main.key_names], cut=cut)

    def scan(
        self,
        *,
        TableName: str,
        ExclusiveStartKey: Attributes | None = None,
        ConsistentRead: bool = False,
        Limit: int = 1000,
    ) -> dict[str, Any]:
        table = self._table(TableName, "Scan")
        keys = sorted(table.items)
        if ExclusiveStartKey is not None:
            keys = keys[bisect_right(keys, table.key(ExclusiveStartKey)) :]
        size = min(Limit, self._page())
        items = [dict(table.items[key]) for key in keys[:size]]
        return _page_of(items, list(table.main.key_names), cut=len(keys) > size)

    # Writing

    def put_item(self, *, TableName: str, Item: Attributes, **condition: Any) -> dict[str, Any]:
        table = self._table(TableName, "PutItem")
        self._write("PutItem", TableName, table.key(Item), condition, lambda _: dict(Item))
        return {}

    def delete_item(self, *, TableName: str, Key: Attributes, **condition: Any) -> dict[str, Any]:
        table = self._table(TableName, "DeleteItem")
        self._write("DeleteItem", TableName, table.key(Key), condition, lambda _: None)
        return {}

    def update_item(self, *, TableName: str, Key: Attributes, **arguments: Any) -> dict[str, Any]:
        table = self._table(TableName, "UpdateItem")
        self._write(
            "UpdateItem", TableName, table.key(Key), arguments, lambda item: updated(item or Key, arguments)
        )
        return {}

    def batch_write_item(self, *, RequestItems: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
        left: dict[str, list[dict[str, Any]]] = {}
        for name, requests in RequestItems.items():
            table = self._table(name, "BatchWriteItem")
            keys = [table.key(_written(request)) for request in requests]
            if len(requests) > 25 or len(set(keys)) < len(keys):
                text = "Too many items, or an item twice"
                raise refusal("dynamodb", "BatchWriteItem", "ValidationException", text)
            for key, request in zip(keys, requests, strict=True):
                if self.unprocessed():
                    left.setdefault(name, []).append(request)
                    continue
                item = request.get("PutRequest", {}).get("Item")
                self._write("BatchWriteItem", name, key, {}, lambda _, item=item: item and dict(item))
        return {"UnprocessedItems": left}

    def transact_write_items(
        self, *, TransactItems: list[dict[str, Any]], ClientRequestToken: str | None = None
    ) -> Generator[float, None, dict[str, Any]]:
        """Run a transaction in steps. It locks its items, and other writes to them are refused meanwhile."""
        caller, writes = self.caller(), []
        for entry in TransactItems:
            ((kind, arguments),) = entry.items()
            table = self._table(arguments["TableName"], "TransactWriteItems")
            writes.append((kind, arguments, table, table.key(arguments["Item" if kind == "Put" else "Key"])))
        conflicts = ["TransactionConflict" if key in table.locks else "None" for _, _, table, key in writes]
        if "TransactionConflict" in conflicts:
            raise cancelled(*conflicts)
        for _, _, table, key in writes:
            table.locks.add(key)
        try:
            yield self.hold()
            checks = [
                "None" if holds(table.items.get(key), arguments) else "ConditionalCheckFailed"
                for _, arguments, table, key in writes
            ]
            if "ConditionalCheckFailed" in checks:
                raise cancelled(*checks)
            self.under_way += 1
            self.mix(writes)
            for position, (kind, arguments, table, key) in enumerate(writes):
                if position == len(writes) - 1:
                    self.under_way -= 1
                new = _changed(kind, arguments, table, key)
                self._store(caller, arguments["TableName"], table, key, new)
                if position < len(writes) - 1:
                    yield self.hold()
        finally:
            for _, _, table, key in writes:
                table.locks.discard(key)
        return {}

    def _write(
        self,
        operation: str,
        name: str,
        key: Key,
        condition: Mapping[str, Any],
        change: Callable[[Attributes | None], Attributes | None],
    ) -> None:
        table = self.tables[name]
        if key in table.locks:
            text = "Transaction is ongoing for the item"
            raise refusal("dynamodb", operation, "TransactionConflictException", text)
        item = table.items.get(key)
        if not holds(item, condition):
            code, text = "ConditionalCheckFailedException", "The conditional request failed"
            raise refusal("dynamodb", operation, code, text)
        self._store(self.caller(), name, table, key, change(item))

    def _store(self, caller: str, name: str, table: Table, key: Key, new: Attributes | None) -> None:
        old = table.items.get(key)
        number = next(self._numbers)
        if new is None:
            table.items.pop(key, None)
        else:
            table.items[key] = new
        table.main.move(key, number, None if new is None else key)
        for index in table.indexes.values():
            place = index.key_in(new)
            if place != index.key_in(old):
                self.later(self.lag(), partial(index.move, key, number, place))
        self.on_write(caller, name, old, new)
        self.on_change(name, old, new)

    def _table(self, name: str, operation: str) -> Table:
        try:
            return self.tables[name]
        except KeyError:
            code, text = "ResourceNotFoundException", "Requested resource not found"
            raise refusal("dynamodb", operation, code, text) from None


def _changed(kind: str, arguments: Mapping[str, Any], table: Table, key: Key) -> Attributes | None:
    if kind == "Put":
        return dict(arguments["Item"])
    if kind == "Update":
        return updated(table.items.get(key) or arguments["Key"], arguments)
    if kind == "Delete":
        return None
    raise NotImplementedError(kind)


def _page_of(items: list[Attributes], key_names: list[str], *, cut: bool) -> dict[str, Any]:
    response: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    if cut:
        response["LastEvaluatedKey"] = {name: items[-1][name] for name in key_names}
    return response


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    return int(plain) if kind == "N" else plain


def _written(request: Mapping[str, Any]) -> Attributes:
    item: Attributes = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
    return item


def _some(key: Key | None) -> Key:
    assert key is not None
    return key
