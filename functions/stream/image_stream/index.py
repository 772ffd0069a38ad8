"""Update the search index from the changes in the images table's stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from image_core.model import Record
from image_core.services import Services
from image_core.stores.items import from_item
from image_core.stores.search_items import Key, changes, dictionary_of


def update_index(records: Sequence[dict[str, Any]], services: Services) -> None:
    """Write what a batch of stream records, in their order, changes in the index.

    The entries depend only on the records, so a batch that is delivered again, or again from the middle, ends with
    the same entries. Raises what the index raises; Lambda then delivers the batch again.
    """
    entries: dict[Key, str | None] = {}
    words: set[Key] = set()
    for record in records:
        change = record["dynamodb"]
        old, new = record_in(change.get("OldImage")), record_in(change.get("NewImage"))
        # A later change of the same image replaces an earlier one: DynamoDB writes a batch in any order.
        entries |= changes(old, new)
        words |= dictionary_of(new)
    services.search.write(entries, words)


def record_in(item: dict[str, Any] | None) -> Record | None:
    """Return the record in a stream record's image."""
    return from_item(item) if item else None
