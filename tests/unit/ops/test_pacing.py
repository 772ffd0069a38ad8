"""The rate limit of messages, and the checkpoint from which an interrupted run resumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.checkpoint import Checkpoint
from ops.rate import RateLimit


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000.0

    def now_ms(self) -> int:
        return int(self.ms)

    def sleep(self, seconds: float) -> None:
        self.ms += seconds * 1000


@pytest.mark.parametrize("per_second", [0.5, 3, 50])
def test_messages_stay_within_the_rate(per_second: float) -> None:
    clock = Clock()
    limit = RateLimit(per_second, now_ms=clock.now_ms, sleep=clock.sleep)
    began = clock.ms
    for _ in range(101):
        limit.wait()
    assert (clock.ms - began) / 1000 == pytest.approx(100 / per_second, rel=0.05)


def test_a_pause_is_not_followed_by_a_burst() -> None:
    clock = Clock()
    limit = RateLimit(1, now_ms=clock.now_ms, sleep=clock.sleep)
    limit.wait()
    clock.sleep(100)
    began = clock.ms
    for _ in range(3):
        limit.wait()
    assert clock.ms - began == 2_000


def test_there_is_no_waiting_without_a_rate() -> None:
    clock = Clock()
    limit = RateLimit(None, now_ms=clock.now_ms, sleep=clock.sleep)
    for _ in range(10):
        limit.wait()
    assert clock.ms == 1_000_000


def test_a_checkpoint_is_read_back_by_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "state.json"
    assert Checkpoint(path, "a bucket").read() == ""
    Checkpoint(path, "a bucket").write("some folder/my photo+1 é.jpg")
    assert Checkpoint(path, "a bucket").read() == "some folder/my photo+1 é.jpg"
    Checkpoint(path, "a bucket").remove()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"bucket": "another", "start_after": "x"}'])
def test_an_invalid_checkpoint_means_starting_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    assert Checkpoint(path, "a bucket").read() == ""
