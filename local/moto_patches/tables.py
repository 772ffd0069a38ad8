"""Queries whose cost depends on the items that they read, not on the table.

moto sorts all items of a table for each query. Here each index that was queried once is kept sorted: `refresh`
updates the entries of one item after every write. A query reads the entries that it needs, and moto's own code
builds the response from a table of only these items.
"""

from __future__ import annotations

import copy
import sys
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast
from weakref import WeakKeyDictionary

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import RESULT_SIZE_LIMIT, Table

from local.moto_patches.replacing import wrap

Sortable = tuple[Any, ...]
"""Types and values of key attributes. Python compares them in DynamoDB's order."""


def apply() -> None:
    """Keep indexes up to date, and use them for queries."""
    wrap(Table, "put_item", _put_item)
    wrap(Table, "delete_item", _delete_item)
    wrap(DynamoDBBackend, "update_item", _update_item)
    wrap(Table, "query", _query)


# Items


@dataclass(frozen=True)
class ItemKey:
    """The key of an item in a table."""

    table: Table
    hash_key: DynamoType
    range_key: DynamoType | None

    def item(self) -> Item | None:
        """The item with this key, if there is one."""
        found: Any = self.table.items.get(self.hash_key)
        if self.range_key is not None and found is not None:
            found = found.get(self.range_key)
        return cast("Item | None", found)

    def put_back(self, item: Item | None) -> None:
        """Store `item` under this key, or remove the current item if it is None. Writes nothing to the stream."""
        items: Any = self.table.items
        if self.range_key is None:
            if item is None:
                items.pop(self.hash_key, None)
            else:
                items[self.hash_key] = item
        elif item is not None:
            items[self.hash_key][self.range_key] = item
        elif self.hash_key in items:
            items[self.hash_key].pop(self.range_key, None)


def item_key(backend: DynamoDBBackend, operation: dict[str, Any]) -> ItemKey | None:
    """The key in a `Put`, `Update`, `Delete` or `ConditionCheck`. None if the request is malformed."""
    try:
        table = backend.get_table(operation["TableName"])
        attributes = operation.get("Key") or operation["Item"]
        key = _key_of(table, attributes)
        hash(key)
    except Exception:  # moto reports the error
        return None
    return key


def _key_of(table: Table, attributes: dict[str, Any]) -> ItemKey:
    range_key = DynamoType(attributes[table.range_key_attr]) if table.range_key_attr else None
    return ItemKey(table, DynamoType(attributes[table.hash_key_attr]), range_key)


# Writes


def _put_item(
    original: Callable[..., Item], table: Table, item_attrs: dict[str, Any], *rest: Any, **named: Any
) -> Item:
    # Each request has its own copies of attribute names, which are the same in thousands of items.
    item = original(table, {sys.intern(name): value for name, value in item_attrs.items()}, *rest, **named)
    refresh(ItemKey(table, item.hash_key, item.range_key))
    return item


def _delete_item(
    original: Callable[..., Item | None], table: Table, hash_key: DynamoType, range_key: DynamoType | None
) -> Item | None:
    item = original(table, hash_key, range_key)
    refresh(ItemKey(table, hash_key, range_key))
    return item


def _update_item(
    original: Callable[..., Item],
    backend: DynamoDBBackend,
    table_name: str,
    key: dict[str, Any],
    *rest: Any,
    **named: Any,
) -> Item:
    try:
        return original(backend, table_name, key, *rest, **named)
    finally:  # moto changes the item in place, and may fail halfway
        if written := item_key(backend, {"TableName": table_name, "Key": key}):
            refresh(written)


def refresh(key: ItemKey) -> None:
    """Update the entries of one item in the table's indexes."""
    for index in _indexes.get(key.table, {}).values():
        index.refresh((key.hash_key, key.range_key), key.item())


# Indexes

Place = tuple[Sortable, Sortable]
"""Hash key, and position among the items of the same hash key."""
Keys = tuple[DynamoType, DynamoType | None]


class _Index:
    """The items of a table, or of a secondary index, by hash key and sorted by `order`."""

    def __init__(self, table: Table, hash_name: str, order: Sequence[str], shape: Any) -> None:
        self._hash_name = hash_name
        self._order = order
        self._shape = shape
        self._items = table.items
        self._partitions: dict[Sortable, list[tuple[Sortable, Keys]]] = defaultdict(list)
        self._places: dict[Sortable, Place] = {}
        for item in table.all_items():
            self.refresh((item.hash_key, item.range_key), item)

    def is_of(self, table: Table, shape: Any) -> bool:
        """Whether the index is current: False once the table was restored or its indexes were changed."""
        return self._items is table.items and self._shape == shape

    def refresh(self, keys: Keys, item: Item | None) -> None:
        """Update the entry of `keys`, whose current item is `item`."""
        name = _sortable(key for key in keys if key is not None)
        new = None if item is None else self._place(item)
        old = self._places.get(name)
        if new == old:
            return
        if old is not None:
            partition = self._partitions[old[0]]
            del partition[bisect_left(partition, old[1], key=itemgetter(0))]
            if not partition:
                del self._partitions[old[0]]
            del self._places[name]
        if new is not None:
            insort(self._partitions[new[0]], (new[1], keys), key=itemgetter(0))
            self._places[name] = new

    def _place(self, item: Item) -> Place | None:
        if any(name not in item.attrs for name in (self._hash_name, *self._order)):
            return None  # an index contains only items that have all of its attributes
        return _sortable([item.attrs[self._hash_name]]), self.position(item.attrs)

    def position(self, attributes: dict[str, DynamoType]) -> Sortable:
        return _sortable(attributes[name] for name in self._order)

    def partition(self, hash_key: DynamoType) -> list[tuple[Sortable, Keys]]:
        return self._partitions.get(_sortable([hash_key]), [])


_indexes: WeakKeyDictionary[Table, dict[str | None, _Index]] = WeakKeyDictionary()


def _index(table: Table, index_name: str | None) -> _Index | None:
    """The sorted index of this name. None if there is none, or if its key consists of several attributes."""
    secondary = next((index for index in table.all_indexes() if index.name == index_name), None)
    if (index_name is None) != (secondary is None):
        return None
    schema = table.schema if secondary is None else secondary.schema
    shape = [(key["AttributeName"], key["KeyType"]) for key in schema]
    hash_names = [name for name, kind in shape if kind == "HASH"]
    range_names = [name for name, kind in shape if kind == "RANGE"]
    if len(hash_names) != 1 or len(range_names) > 1:
        return None
    known = _indexes.setdefault(table, {})
    index = known.get(index_name)
    if index is None or not index.is_of(table, shape):
        order = range_names
        if secondary is not None:  # moto's order, which ends with the table's own key
            own_range = [] if table.range_key_attr is None else [table.range_key_attr]
            order = [*(range_names or own_range), table.hash_key_attr, *own_range]
        index = known[index_name] = _Index(table, hash_names[0], order, shape)
    return index


def _sortable(values: Iterable[DynamoType]) -> Sortable:
    return tuple(part for value in values for part in (value.type, value.cast_value))


# Queries


def _query(
    original: Callable[..., Any],
    table: Table,
    hash_key: DynamoType | None,
    range_comparison: str | None,
    range_objs: list[DynamoType],
    limit: int | None,
    exclusive_start_key: dict[str, Any] | None,
    scan_index_forward: bool,
    projection_expressions: Any,
    index_name: str | None = None,
    *rest: Any,
    **named: Any,
) -> Any:
    read = _Read(
        hash_key, range_comparison, range_objs, limit, exclusive_start_key, scan_index_forward is not False
    )
    # moto passes further named arguments, such as QueryFilter, which counts the items that it filters out.
    is_plain = hash_key is not None and not set(named) - _ARGUMENTS_THAT_CHANGE_NO_ORDER
    items = _items_to_read(table, index_name, read) if is_plain else None
    return original(
        table if items is None else _with_items(table, items),
        hash_key,
        range_comparison,
        range_objs,
        limit,
        exclusive_start_key,
        scan_index_forward,
        projection_expressions,
        index_name,
        *rest,
        **named,
    )


_ARGUMENTS_THAT_CHANGE_NO_ORDER = {"hash_key_conditions", "range_key_conditions"}


@dataclass(frozen=True)
class _Read:
    """The part of an index that a query reads."""

    hash_key: Any
    comparison: str | None
    operands: Sequence[DynamoType]
    limit: int | None
    start_key: Mapping[str, Any] | None
    forward: bool


def _items_to_read(table: Table, index_name: str | None, read: _Read) -> list[Item] | None:
    """Items that give the same response as the whole table. None if no index can select them.

    They are the items of one page and the next one, which moto reads to find out that a page is full.
    """
    if index_name is None and table.range_key_attr is None:
        only = ItemKey(table, read.hash_key, None).item()
        return [] if only is None else [only]
    index = _index(table, index_name)
    if index is None:
        return None
    partition = index.partition(read.hash_key)
    bounds = _bounds(partition, read.comparison, read.operands)
    if bounds is None:
        return None
    first, end = bounds
    if read.start_key is not None:
        try:
            started = {name: DynamoType(value) for name, value in read.start_key.items()}
            position = index.position(started)
        except (KeyError, TypeError, AttributeError, IndexError):
            return None  # not a key of this index: moto decides
        if read.forward:
            first = max(first, bisect_right(partition, position, key=itemgetter(0)))
        else:
            end = min(end, bisect_left(partition, position, key=itemgetter(0)))
    numbers = range(first, len(partition)) if read.forward else range(end - 1, -1, -1)
    items: list[Item] = []
    size = 0
    for number in numbers:
        item = ItemKey(table, *partition[number][1]).item()
        assert item is not None
        items.append(item)
        if not first <= number < end or len(items) - 1 == read.limit:
            break
        if read.limit is None or read.limit > _NEVER_TOO_LARGE:
            size += item.size()
            if size > RESULT_SIZE_LIMIT:
                break
    return items


_NEVER_TOO_LARGE = 100
"""A page of this many items is read without adding up their sizes: too many items do no harm."""


def _bounds(
    partition: list[tuple[Sortable, Keys]], comparison: str | None, operands: Sequence[DynamoType]
) -> tuple[int, int] | None:
    """The first entry that meets a condition on the sort key, and the one after the last."""

    def before(operand: DynamoType) -> int:
        return bisect_left(partition, _sortable([operand]), key=_sort_key)

    def behind(operand: DynamoType) -> int:
        return bisect_right(partition, _sortable([operand]), key=_sort_key)

    match comparison, operands:
        case None, _:
            return 0, len(partition)
        case "=", [operand]:
            return before(operand), behind(operand)
        case "<", [operand]:
            return 0, before(operand)
        case "<=", [operand]:
            return 0, behind(operand)
        case ">", [operand]:
            return behind(operand), len(partition)
        case ">=", [operand]:
            return before(operand), len(partition)
        case "BETWEEN", [low, high]:
            return before(low), behind(high)
        case "BEGINS_WITH", [prefix]:
            kind, start = _sortable([prefix])

            def is_behind(entry: tuple[Sortable, Keys]) -> bool:
                return bool(entry[0][0] != kind or entry[0][1][: len(start)] != start)

            first = before(prefix)
            return first, bisect_left(partition, True, lo=first, key=is_behind)
        case _:
            return None


def _sort_key(entry: tuple[Sortable, Keys]) -> Sortable:
    return entry[0][:2]


def _with_items(table: Table, items: Iterable[Item]) -> Table:
    """A copy of the table with other items."""
    view = copy.copy(table)
    view.items = defaultdict(dict)
    for item in items:
        ItemKey(view, item.hash_key, item.range_key).put_back(item)
    return view
