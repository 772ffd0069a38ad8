"""The items of the search index that a record makes, and what a change of the record changes in it.

The table has two kinds of items:

- an entry for each stem of an image: key `stem`, sorted by the list's `created_order`, with all stems of the image;
- a word of the dictionary, with which a prefix is completed: key `#` and its first letters, sorted by the word.
  Words are put once and never removed or counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from image_core.model import Record
from image_core.search.document import Document, is_indexed
from image_core.search.query import MIN_PREFIX_CHARACTERS
from image_core.stores.items import Item, created_order


class Key(NamedTuple):
    """The key of an item: a stem or letters of the dictionary, and what sorts the items."""

    stem: str
    order: str


def entries_of(record: Record | None) -> dict[Key, str]:
    """Return the entries of a record, with the attribute `t`: its stems, separated by spaces, sorted."""
    if record is None or not is_indexed(record):
        return {}
    stems = Document.of(record).stems
    order = created_order(record.created_ms, record.image_id)
    text = " ".join(sorted(stems))
    return {Key(stem, order): text for stem in stems}


def dictionary_of(record: Record | None) -> set[Key]:
    """Return the words of a record that a prefix can complete."""
    if record is None or not is_indexed(record):
        return set()
    found = Document.of(record).words
    return {dictionary_key(word) for word in found if len(word) >= MIN_PREFIX_CHARACTERS}


def dictionary_key(word: str) -> Key:
    """Return the dictionary's key of a word with at least MIN_PREFIX_CHARACTERS."""
    return Key(f"#{word[:MIN_PREFIX_CHARACTERS]}", word)


def changes(old: Record | None, new: Record | None) -> dict[Key, str | None]:
    """Return the entries to write when a record changes from `old` to `new`: their `t`, or None to delete them.

    A record of None does not exist.
    """
    before, after = entries_of(old), entries_of(new)
    deleted: dict[Key, str | None] = dict.fromkeys(before.keys() - after.keys())
    return deleted | {key: text for key, text in after.items() if before.get(key) != text}


def key_of(key: Key) -> Item:
    """Return a key as DynamoDB has it."""
    return {"stem": {"S": key.stem}, "created_order": {"S": key.order}}


def key_in(item: Mapping[str, Any]) -> Key:
    """Return the key of an item."""
    return Key(item["stem"]["S"], item["created_order"]["S"])


def stems_of(text: str) -> frozenset[str]:
    """Return all stems of an image, from the `t` of one of its entries."""
    return frozenset(text.split(" "))
