"""Whatever the file: one of the listed outcomes, the same every time, within limits of time and memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.corpus import FORMATS, corpus
from tests.fuzz.mutations import mutated
from tests.fuzz.nasties import NASTIES
from tests.fuzz.watched import Limits, Watched

CASES_PER_FORMAT = 60
"""`make fuzz` runs as many as there is time for."""


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Watched() as process:
        yield process


@pytest.mark.parametrize("kind", FORMATS)
def test_the_files_that_mutations_begin_with_are_all_good(kind: str, watched: Watched) -> None:
    for data in corpus()[kind]:
        outcome = watched.take(data, Limits())
        assert (outcome.kind, outcome.fault(Limits())) == ("success", None)


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_end_in_a_listed_way_within_the_limits(kind: str, watched: Watched) -> None:
    @seed(20261121)
    @settings(
        max_examples=CASES_PER_FORMAT,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=mutated(kind))
    def every_case(data: bytes) -> None:
        assert watched.take(data, Limits()).fault(Limits()) is None

    if corpus()[kind]:
        every_case()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if nasty.slow else name for name, nasty in NASTIES.items()]
)
def test_nasty_files_end_as_they_should_within_the_limits(name: str, watched: Watched) -> None:
    nasty = NASTIES[name]

    outcome = watched.take(nasty.make(), nasty.limits)

    assert outcome.fault(nasty.limits) is None
    assert outcome.kind in nasty.outcomes
