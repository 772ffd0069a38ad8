"""Any file has one of the listed outcomes, the same every time, within limits of time and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests import pictures
from tests.fuzz.corpus import FORMATS, corpus
from tests.fuzz.hostile import HOSTILE_FILES
from tests.fuzz.monitored_process import Limits, MonitoredProcess, Outcome
from tests.fuzz.mutations import mutated
from tests.fuzz.picture_stage import ONLY_LINUX

CASES_PER_FORMAT = 60
"""`make fuzz` runs as many as time allows."""


@pytest.fixture(scope="module")
def process() -> Iterator[MonitoredProcess]:
    if sys.platform != "linux":
        pytest.skip(ONLY_LINUX)
    with MonitoredProcess() as process:
        yield process


@pytest.mark.parametrize("kind", FORMATS)
def test_the_files_from_which_mutations_start_are_valid(kind: str, process: MonitoredProcess) -> None:
    for data in corpus()[kind]:
        outcome = process.run(data, Limits())
        assert (outcome.kind, outcome.problem(Limits())) == ("success", None)


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_have_a_listed_outcome_within_the_limits(kind: str, process: MonitoredProcess) -> None:
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
        assert process.run(data, Limits()).problem(Limits()) is None

    if corpus()[kind]:
        every_case()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if file.slow else name for name, file in HOSTILE_FILES.items()],
)
def test_hostile_files_have_the_expected_outcome_within_the_limits(name: str, process: MonitoredProcess) -> None:
    hostile = HOSTILE_FILES[name]

    outcome = process.run(hostile.make(), hostile.limits)

    assert outcome.problem(hostile.limits) is None
    assert outcome.kind in hostile.outcomes


# The monitoring


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Outcome("success", "", 0.1, 1), None),
        (Outcome("corrupt_image", "", 0.1, 1), None),
        (Outcome("retries_exhausted", "", 0.1, 1), "retries_exhausted: "),
        (Outcome("unlisted KeyError", "where", 0.1, 1), "unlisted KeyError: where"),
        (Outcome("success", "", 5.1, 1), "5.1 s"),
        (Outcome("success", "", 0.1, 2**29), "512 MiB"),
    ],
)
def test_unlisted_outcomes_and_exceeded_limits_are_problems(outcome: Outcome, problem: str | None) -> None:
    assert outcome.problem(Limits()) == problem


def test_a_file_that_takes_too_long_is_stopped_and_the_next_one_gets_a_new_process(
    process: MonitoredProcess,
) -> None:
    long = pictures.png(3_000, 1_000, mode="RGBA")
    assert process.run(long, Limits(killed_after_seconds=0)).kind == "hang"
    assert process.run(pictures.jpeg(), Limits()).kind == "success"


def test_a_process_that_dies_is_reported_and_the_next_file_gets_a_new_one(process: MonitoredProcess) -> None:
    process.run(pictures.jpeg(), Limits())
    process.kill()

    assert process.run(pictures.jpeg(), Limits()).kind == "crash SIGKILL"
    assert process.run(pictures.jpeg(), Limits()).kind == "success"


def test_memory_is_measured_file_by_file(process: MonitoredProcess) -> None:
    large, small = pictures.png(2_000, 1_990, mode="RGBA"), pictures.png()

    process.run(small, Limits())
    peak = process.run(large, Limits()).peak_bytes
    assert peak > 4_000_000, "the picture needs 16 MB, some of which the process may have had already"
    assert process.run(small, Limits()).peak_bytes < peak / 2
