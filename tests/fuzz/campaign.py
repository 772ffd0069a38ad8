"""Run mutated files for any length of time, and collect the outcomes and the worst cases."""

from __future__ import annotations

import hashlib
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from image_core.formats import identify
from tests.fuzz.monitored_process import Limits, MonitoredProcess, Outcome
from tests.fuzz.mutations import mutated

FOLDER = Path(".fuzz")
BATCH = 250
OWN_ADDRESS_SPACE_BYTES = 8 * 2**30
"""The limit of a worker and its child processes, so that mutations cannot exhaust the machine's memory."""
LIMITS = Limits()


@dataclass
class Worst:
    """The case with the largest amount of something."""

    amount: float = -1.0
    path: Path | None = None
    kind: str = ""

    def put(self, amount: float, data: bytes, kind: str, name: str) -> None:
        if amount > self.amount:
            if self.path is not None:
                self.path.unlink(missing_ok=True)
            self.amount, self.kind, self.path = amount, kind, stored(data, name)


@dataclass
class Tally:
    """The outcomes of the cases of one worker, or of all."""

    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    slowest: Worst = field(default_factory=Worst)
    largest: Worst = field(default_factory=Worst)

    def count(self, data: bytes, outcome: Outcome) -> None:
        self.cases += 1
        self.kinds[outcome.kind] += 1
        self.formats[identify(data[:512]) or "no format"] += 1
        if problem := outcome.problem(LIMITS):
            self.problems.append((stored(data, "problem"), problem))
        self.slowest.put(outcome.seconds, data, outcome.kind, "slowest")
        self.largest.put(outcome.peak_bytes, data, outcome.kind, "largest")

    def add(self, other: Tally) -> None:
        self.cases += other.cases
        self.kinds += other.kinds
        self.formats += other.formats
        self.problems += other.problems
        self.slowest = max(self.slowest, other.slowest, key=lambda worst: worst.amount)
        self.largest = max(self.largest, other.largest, key=lambda worst: worst.amount)


def stored(data: bytes, name: str) -> Path:
    """Store `data` in a separate file."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def work(first_seed: int, until: float) -> Tally:
    """Run batches of cases, each with its own seed, until that time (as of `time.time`)."""
    resource.setrlimit(resource.RLIMIT_AS, (OWN_ADDRESS_SPACE_BYTES,) * 2)
    tally = Tally()
    with MonitoredProcess() as process:
        number = first_seed
        while time.time() < until:
            _batch(number, until, process, tally)
            number += 1
    return tally


def _batch(number: int, until: float, process: MonitoredProcess, tally: Tally) -> None:
    @seed(number)
    @settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=mutated())
    def every_case(data: bytes) -> None:
        if time.time() < until:
            tally.count(data, process.run(data, LIMITS))

    every_case()
