"""Read and decide again after a lost race."""

from __future__ import annotations

import pytest

from image_core.errors import Replaced, Superseded, Unavailable
from image_core.lifecycle.retries import MAX_TRIES, until_settled


class Act:
    """An act that loses the given number of races."""

    def __init__(self, *lost: Exception) -> None:
        self._lost = list(lost)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._lost:
            raise self._lost.pop(0)
        return "done"


def test_an_act_without_a_lost_race_runs_once():
    act = Act()
    assert until_settled(act, busy=Unavailable) == "done"
    assert act.calls == 1


def test_a_lost_race_is_run_again_until_the_last_try():
    act = Act(*[Superseded(), Replaced()] * 2)
    assert until_settled(act, busy=Unavailable) == "done"
    assert act.calls == MAX_TRIES


def test_an_act_that_loses_every_race_raises_busy():
    act = Act(*[Superseded()] * MAX_TRIES)
    with pytest.raises(Unavailable):
        until_settled(act, busy=Unavailable)
    assert act.calls == MAX_TRIES


def test_any_other_error_is_raised_at_once():
    act = Act(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        until_settled(act, busy=Unavailable)
    assert act.calls == 1
