"""Compare the search index with the records, and repair it. `reconcile` and `reindex` use this."""

from __future__ import annotations

from collections.abc import Iterable

from image_core.model import Record
from image_core.services import Services
from image_core.stores.items import image_id_in
from image_core.stores.search_items import Key, dictionary_of, entries_of

_TRIES = 5


class StillChanging(Exception):
    """An image was changed each time its entries had just been written."""


def lacking(record: Record, services: Services) -> list[Key]:
    """Return the entries and dictionary words of a record that are missing or outdated."""
    wanted: dict[Key, str | None] = {**entries_of(record), **dict.fromkeys(dictionary_of(record))}
    found = services.search.get_many(wanted.keys())
    return [key for key, text in wanted.items() if key not in found or found[key] != text]


def surplus(keys: Iterable[Key], services: Services) -> list[Key]:
    """Return those of these entries that do not follow from the record of their image."""
    of_image = by_image(keys)
    records = {record.image_id: record for record in services.records.get_many(list(of_image))}
    return [
        key
        for image_id, entries in of_image.items()
        for key in sorted(set(entries) - entries_of(records.get(image_id)).keys())
    ]


def by_image(keys: Iterable[Key]) -> dict[str, list[Key]]:
    """Group entries by the id of their image."""
    found: dict[str, list[Key]] = {}
    for key in keys:
        found.setdefault(image_id_in(key.order), []).append(key)
    return found


def write(image_id: str, services: Services, *, remove: Iterable[Key] = ()) -> None:
    """Write all entries of an image as its record is now, and remove those of `remove` that it does not have.

    The stream function may write at the same time. It reads changes in order, so its last write is right, unless it
    is over before ours. So the record is read again after the write.
    """
    record = services.records.get(image_id)
    for _ in range(_TRIES):
        entries = entries_of(record)
        deleted: dict[Key, str | None] = dict.fromkeys(key for key in remove if key not in entries)
        services.search.write(deleted | entries, dictionary_of(record), repair=True)
        written, record = record, services.records.get(image_id)
        if (written and written.rev) == (record and record.rev):
            return
        remove = {*remove, *entries}
    raise StillChanging(image_id)
