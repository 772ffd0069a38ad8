"""Short stories of one image with one fault, at every call in turn, in every way that a call can fail."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.network import Fault
from tests.simulation.scenarios import EVENTS, ONE_FAULT, STORIES, orders, run_in_order, run_story, with_one_fault
from tests.simulation.simulation import Result, describe

EVERY_FAULT = {"an upload", "overwritten meanwhile", "deleted meanwhile", "reprocessed meanwhile"}
"""Stories that meet with all faults in each run of the tests; the others, of faults, with a death alone."""
END: dict[str, dict[str, int]] = {
    name: {"success": 0} if "deleted" in name or "removed" in name else {"success": 1} for name in STORIES
} | {"deleted and dropped anew": {"success": 1}}


def _check(result: Result, where: str) -> None:
    assert not result.violations, f"{where}\n{describe(result, 100)}"


def _check_nothing_failed(result: Result, name: str, where: str) -> None:
    # One fault exhausts no retries. Only an upload through the API that could not be stored may end as `failed`.
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
    for number, result in with_one_fault(STORIES[name], Fault.KILL_AFTER):
        _check(result, f"{name}, killed after call {number}")
        _check_nothing_failed(result, name, f"killed after call {number}")
        runs += 1
    print(f"{name}: killed after each of {runs} calls")
    assert runs >= 10


@pytest.mark.parametrize("name", [name for name in STORIES if name in EVERY_FAULT])
def test_whatever_call_fails_in_whatever_way_the_image_ends_as_it_should(name: str) -> None:
    _fail_everywhere(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STORIES if name not in EVERY_FAULT])
def test_whatever_call_fails_in_whatever_way_the_other_stories_end_well_too(name: str) -> None:
    _fail_everywhere(name)


def _fail_everywhere(name: str) -> None:
    runs: Counter[str] = Counter()
    for kind in ONE_FAULT:
        for number, result in with_one_fault(STORIES[name], kind):
            _check(result, f"{name}, call {number} {kind.value}")
            _check_nothing_failed(result, name, f"call {number} {kind.value}")
            runs[kind.value] += 1
    calls = max(runs.values())
    print(f"{name}: {calls} calls × {len(runs)} faults, {runs.total()} runs: {dict(runs)}")
    assert set(runs) >= {"throttled", "server error", "connection reset", "time-out before"}
    assert "reply lost" in runs or name == "removed early"  # which finds nothing to write any more
    assert calls >= 10


@pytest.mark.parametrize("name", EVENTS)
def test_events_in_any_order_and_twice_come_to_the_same(name: str) -> None:
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
