"""Add to the indexes what records of earlier versions lack: index keys of their items, and search entries."""

from __future__ import annotations

from dataclasses import dataclass

from image_core.errors import Superseded
from image_core.services import Services
from ops import search_index
from ops.rate import RateLimit


@dataclass
class Reindexed:
    """How many records lacked index keys or search entries, and how many of them were written."""

    outdated: int = 0
    written: int = 0
    not_searchable: int = 0
    made_searchable: int = 0


def reindex(
    services: Services,
    *,
    apply: bool,
    rate: RateLimit,
    done: Reindexed,
) -> Reindexed:
    """Write every record that lacks index keys, and the search entries that records lack. `done` is filled.

    Safe to repeat after an interruption, while the stack works.
    """
    for record in services.records.every_outdated():
        done.outdated += 1
        if apply:
            rate.wait()
            try:
                services.records.reindex(record)
                done.written += 1
            except Superseded:
                continue  # another process has just written it, with the keys
    for record in services.records.every():
        if not search_index.lacking(record, services):
            continue
        done.not_searchable += 1
        if apply:
            rate.wait()
            try:
                search_index.write(record.image_id, services)
                done.made_searchable += 1
            except search_index.StillChanging:
                continue  # the stream function writes the entries with each change
    return done
