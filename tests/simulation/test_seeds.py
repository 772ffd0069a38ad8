"""Runs drawn from seeds. `make simulate` does the same for any length of time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.many import many_images
from tests.simulation.simulation import describe, simulate

SEEDS = 100
NARROW = {"pinned-download", "conflict-is-change", "revs-from-one", "stale-content"}
"""Bugs that appear only in narrow time windows, which test_found.py covers.

Finding them at random takes minutes.
"""
ROOT = Path(__file__).parents[2]


def test_the_invariants_hold_for_all_seeds() -> None:
    faults: Counter[str] = Counter()
    checked: Counter[str] = Counter()
    for seed in range(SEEDS):
        result = simulate(seed)
        assert not result.violations, f"seed {seed}\n{describe(result, 80)}"
        faults.update(result.injected)
        checked.update(result.checked)
    print(f"{SEEDS} seeds, {faults.total()} faults of {len(faults)} kinds, {checked.total()} invariants checked")
    assert len(faults) >= 10 and faults.total() >= 2 * SEEDS
    assert len(checked) >= 25


def test_a_seed_always_gives_the_same_run() -> None:
    # The second run is in another process, in which strings have different hashes.
    here = describe(simulate(7), 400)
    there = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", "7", "--steps", "400"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert len(here.splitlines()) > 20
    assert there.startswith(here)


@pytest.mark.parametrize(
    "bug", ["attempt-condition", "separate-counters", "any-recipe", "text-alone", "words-stay", "unwritten-words"]
)
def test_a_deliberate_bug_is_found(bug: str) -> None:
    with BUGS[bug]():
        found = next((seed for seed in range(1000) if simulate(seed).violations), None)
    assert found is not None
    print(f"{bug}: found with seed {found}")


@pytest.mark.slow
@pytest.mark.parametrize("bug", sorted(BUGS.keys() - NARROW))
def test_every_bug_is_found_within_two_minutes(bug: str) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--bug", bug]
    search = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(search.stdout[-3000:])
    assert search.returncode == 0, search.stdout


def test_statistics_are_exact_after_many_images_with_duplicates_and_killed_workers() -> None:
    result = many_images(150)
    assert not result.violations, describe(result, 80)
    assert result.injected["killed after"] >= 3
    assert sum(result.counts.values()) == 150
