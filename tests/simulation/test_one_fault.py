"""Short stories of one image with one fault: every kind of fault, at every call."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.network import Fault
from tests.simulation.scenarios import (
    EVENTS,
    ONE_FAULT,
    STORIES,
    orders,
    run_in_order,
    run_story,
    runs_with_one_fault,
)
from tests.simulation.simulation import Result, describe

EVERY_FAULT = {
    "an upload",
    "overwritten during processing",
    "deleted during processing",
    "reprocessed during processing",
}
"""Stories that get every kind of fault in each test run.

The other stories get only kills; `-m slow` runs the rest.
"""
END: dict[str, dict[str, int]] = {
    name: {"success": 0} if "deleted" in name or "removed" in name else {"success": 1} for name in STORIES
} | {"deleted and dropped again": {"success": 1}}


def _check(result: Result, where: str) -> None:
    assert not result.violations, f"{where}\n{describe(result, 100)}"


def _check_nothing_failed(result: Result, name: str, where: str) -> None:
    # One fault does not exhaust the retries. Only an API upload that could not be stored may end as `failed`.
    if "upload" not in name:
        assert result.counts["failed"] == 0, f"{name}, {where}\n{describe(result, 100)}"


@pytest.mark.parametrize("name", STORIES)
def test_a_story_without_faults_ends_well(name: str) -> None:
    result = run_story(STORIES[name])
    _check(result, name)
    assert result.counts == {"pending": 0, "processing": 0, "failed": 0} | END[name]


@pytest.mark.parametrize("name", STORIES)
def test_a_process_killed_after_any_call_loses_nothing_and_counts_nothing_twice(name: str) -> None:
    runs = 0
    for number, result in runs_with_one_fault(STORIES[name], Fault.KILL_AFTER):
        _check(result, f"{name}, killed after call {number}")
        _check_nothing_failed(result, name, f"killed after call {number}")
        runs += 1
    print(f"{name}: killed after each of {runs} calls")
    assert runs >= 10


@pytest.mark.parametrize("name", [name for name in STORIES if name in EVERY_FAULT])
def test_a_story_ends_well_with_any_fault_at_any_call(name: str) -> None:
    _fail_everywhere(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STORIES if name not in EVERY_FAULT])
def test_the_other_stories_end_well_with_any_fault_at_any_call(name: str) -> None:
    _fail_everywhere(name)


def _fail_everywhere(name: str) -> None:
    runs: Counter[str] = Counter()
    for kind in ONE_FAULT:
        for number, result in runs_with_one_fault(STORIES[name], kind):
            _check(result, f"{name}, call {number} {kind.value}")
            _check_nothing_failed(result, name, f"call {number} {kind.value}")
            runs[kind.value] += 1
    calls = max(runs.values())
    print(f"{name}: {calls} calls × {len(runs)} faults, {runs.total()} runs: {dict(runs)}")
    assert set(runs) >= {"throttled", "server error", "connection reset", "timeout before"}
    assert "reply lost" in runs or name == "removed early"  # it has nothing left to write
    assert calls >= 10


@pytest.mark.parametrize("name", EVENTS)
def test_events_in_any_order_and_repeated_have_the_same_result(name: str) -> None:
    changes = EVENTS[name]
    ends = 0 if name.endswith("removed") else 1
    several = orders(len(changes))
    for gap_seconds in (0.0, 0.3, 10.0):
        for order in several:
            result = run_in_order(changes, order, gap_seconds)
            _check(result, f"{name}: events {order}, {gap_seconds} s apart")
            assert result.counts["success"] == ends, f"events {order}, {gap_seconds} s apart"
    print(f"{name}: {len(several)} orders × 3 distances")
    assert len(several) >= 13
