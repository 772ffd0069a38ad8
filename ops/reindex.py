"""Write records of earlier versions again, so that they get the index keys that this version writes."""

from __future__ import annotations

from dataclasses import dataclass

from image_core.errors import Superseded
from image_core.services import Services
from ops.rate import RateLimit


@dataclass
class Reindexed:
    """How many records lacked index keys, and how many of them were written."""

    outdated: int = 0
    written: int = 0


def reindex(
    services: Services,
    *,
    apply: bool,
    rate: RateLimit,
    done: Reindexed,
) -> Reindexed:
    """Write every record that lacks index keys. `done` is filled. Safe to repeat after an interruption."""
    for record in services.records.every_outdated():
        done.outdated += 1
        if apply:
            rate.wait()
            try:
                services.records.reindex(record)
                done.written += 1
            except Superseded:
                continue  # another process has just written it, with the keys
    return done
