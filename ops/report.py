"""The findings and repairs of a reconciliation, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from ops.differences import Difference, Kind

SAMPLES = 20
"""Number of findings of each kind that are stored in full. The rest are only counted."""


@dataclass
class Report:
    """Counts by kind, and samples. `moved_on`: findings that were gone before their repair."""

    apply: bool
    started_ms: int
    ended_ms: int | None = None
    interrupted: bool = False
    examined: Counter[str] = field(default_factory=Counter)
    found: Counter[Kind] = field(default_factory=Counter)
    repaired: Counter[Kind] = field(default_factory=Counter)
    moved_on: Counter[Kind] = field(default_factory=Counter)
    samples: dict[Kind, list[Difference]] = field(default_factory=dict)
    messages_waiting: int | None = None
    """Messages in the queue at the start. They may be about images that have no record yet."""
    counters: str = "not compared"
    """`equal`, `different`, or why the counters could not be compared."""
    counter_difference: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    error_samples: list[str] = field(default_factory=list)

    def note(self, difference: Difference) -> None:
        """Count a finding."""
        self.found[difference.kind] += 1
        kept = self.samples.setdefault(difference.kind, [])
        if len(kept) < SAMPLES:
            kept.append(difference)

    def add_error(self, about: str, error: Exception) -> None:
        """Count an image that could not be checked or repaired."""
        self.errors += 1
        if len(self.error_samples) < SAMPLES:
            self.error_samples.append(f"{about}: {type(error).__name__}: {error}")

    @property
    def is_complete(self) -> bool:
        """Whether everything was checked, and the counters could be compared."""
        return self.ended_ms is not None and not self.errors and self.counters in ("equal", "different")

    @property
    def is_clean(self) -> bool:
        """Whether everything was checked and no difference was found."""
        return self.is_complete and not self.found.total()

    @property
    def left(self) -> int:
        """Number of findings that were not repaired."""
        return self.found.total() - self.repaired.total() - self.moved_on.total()

    def as_json(self) -> dict[str, Any]:
        """The report as plain data. It includes kinds without findings."""
        by_kind = {
            kind.value: {
                "found": self.found[kind],
                "repaired": self.repaired[kind],
                "moved_on": self.moved_on[kind],
                "samples": [asdict(sample) | {"kind": kind.value} for sample in self.samples.get(kind, [])],
            }
            for kind in Kind
        }
        return {
            "apply": self.apply,
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
            "interrupted": self.interrupted,
            "clean": self.is_clean,
            "complete": self.is_complete,
            "messages_waiting": self.messages_waiting,
            "examined": dict(self.examined),
            "differences": by_kind,
            "counters": {"state": self.counters, "difference": self.counter_difference},
            "errors": {"count": self.errors, "samples": self.error_samples},
        }
