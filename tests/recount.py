"""Statistics computed from the records themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from image_core.model import Record, Stats
from image_core.stores.counters import contribution, stats_from_counts


def recount(records: Iterable[Record]) -> Stats:
    """Return what the counters should be for these records."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(contribution(record))
    return stats_from_counts(counts)
