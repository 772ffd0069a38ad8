"""The number of threads follows the available CPUs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_processor.cpus import usable_cpus

SCHEDULED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", SCHEDULED),
        ("50000 100000", 1),
        ("100000 100000", 1),
        ("150000 100000", min(2, SCHEDULED)),
        ("6400000 100000", SCHEDULED),
        ("nonsense", SCHEDULED),
    ],
)
def test_a_containers_cpu_limit_caps_the_scheduled_cpus(tmp_path: Path, limit: str, expected: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(limit + "\n")

    assert usable_cpus(path) == expected


def test_without_a_container_the_scheduled_cpus_count(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "absent") == SCHEDULED


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to CPUs")
def test_a_process_bound_to_one_cpu_uses_one(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cpus(tmp_path / "absent") == 1
    finally:
        os.sched_setaffinity(0, before)
