"""`TransactWriteItems` without copies of whole tables.

moto copies each table of a transaction, with its stream, and replaces the table by the copy if the transaction
fails. Here nothing is copied but the items of the transaction. A failed transaction is undone item by item.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import moto.dynamodb.models as moto_dynamodb
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamShard, Table

from local.moto_patches.replacing import replace, wrap
from local.moto_patches.tables import ItemKey, item_key, refresh


def apply() -> None:
    """Replace the rollback."""
    # The module's own `copy` is only used by its transactions, to copy a table.
    replace(moto_dynamodb, "copy", SimpleNamespace(deepcopy=_copy_all_but_tables))
    wrap(DynamoDBBackend, "transact_write_items", _transact)


def _transact(
    original: Callable[..., None], backend: DynamoDBBackend, transact_items: list[dict[str, Any]]
) -> None:
    before = _Before(backend, transact_items)
    try:
        original(backend, transact_items)
    except BaseException:
        before.restore()
        raise


def _copy_all_but_tables(value: Any) -> Any:
    return value if isinstance(value, Table) else copy.deepcopy(value)


class _Before:
    """The items of a transaction and the streams of their tables, as they were before it."""

    def __init__(self, backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        self._items: dict[ItemKey, Item | None] = {}
        self._streams: dict[StreamShard, tuple[int, list[Any]]] = {}
        for entry in transact_items:
            for operation in entry.values():
                key = item_key(backend, operation)
                if key is None or key in self._items:
                    continue
                self._items[key] = copy.deepcopy(key.item())
                shard = key.table.stream_shard
                if shard is not None:
                    self._streams[shard] = (shard.starting_sequence_number, list(shard.items))

    def restore(self) -> None:
        for key, item in self._items.items():
            key.put_back(item)
            refresh(key)
        for shard, (start, records) in self._streams.items():
            shard.starting_sequence_number, shard.items = start, records
