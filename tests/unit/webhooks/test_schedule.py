"""The times of the attempts, and what a receiver can change about them."""

from __future__ import annotations

import pytest

from image_core.stores.queue import MAX_VISIBILITY_SECONDS
from image_webhooks.schedule import ATTEMPTS, LONGEST_WAIT_SECONDS, retry_after_seconds, wait_seconds
from local.template import read_template

NOW_S = 1_795_168_800.0  # 2026-11-20T10:00:00Z


@pytest.mark.parametrize("jitter", [-0.3, 0.0, 0.3])
def test_all_attempts_together_take_about_a_day(jitter: float) -> None:
    waits = [wait_seconds(attempt, jitter=jitter) for attempt in range(1, ATTEMPTS)]
    assert waits[0] == pytest.approx(30, rel=0.1) and waits == sorted(waits)
    assert 23 * 3600 < sum(waits) < 25 * 3600
    assert max(waits) < MAX_VISIBILITY_SECONDS


def test_after_the_last_attempt_sqs_moves_the_message_at_once() -> None:
    assert wait_seconds(ATTEMPTS, jitter=1) == wait_seconds(10**6, jitter=1) == 0
    times = read_template()["Mappings"]["Timing"]["Webhooks"]
    assert times["MaxReceiveCount"] == ATTEMPTS


def test_retry_after_postpones_the_next_attempt_but_not_for_days() -> None:
    assert wait_seconds(1, jitter=0, retry_after=120) == 120
    assert wait_seconds(10, jitter=0, retry_after=120) == LONGEST_WAIT_SECONDS
    assert wait_seconds(1, jitter=0, retry_after=10**8) == LONGEST_WAIT_SECONDS
    assert wait_seconds(ATTEMPTS, jitter=0, retry_after=120) == 0


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120),
        (503, " 0 ", 0),
        (503, "Fri, 20 Nov 2026 10:02:00 GMT", 120),
        (503, "Fri, 20 Nov 2026 09:00:00 GMT", 0),
        (503, "9" * 5000, 999_999_999),
        (500, "120", None),
        (429, None, None),
        (429, "soon", None),
        (429, "-5", None),
        (429, "१२", None),
        (429, "Fri, 99 Nov 99999 10:00:00 GMT", None),
        (None, "120", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_of_a_429_or_503(
    status: int | None, header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(status, header, now_s=NOW_S) == seconds
