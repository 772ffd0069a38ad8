"""`ops reprocess`: reprocess many images. Which images, how many, how fast."""

from __future__ import annotations

from typing import Any

import pytest

from image_core.errors import CorruptImage, RetriesExhausted
from image_core.model import Record, Stage, Status
from ops.rate import RateLimit
from ops.reprocess import Reprocessed, reprocess
from tests.functional.emulator import Stack, preceded_by
from tests.functional.images import LEASE_SECONDS, new_record, stored_image, stored_object


@pytest.fixture
def failed(stack: Stack) -> list[Record]:
    """Create three images that exhausted their retries, one corrupt image and one success.

    Return the first three.
    """
    given_up = [stored_image(stack, Status.PENDING) for _ in range(3)]
    for record in given_up:
        stack.records.give_up(record, stack.services.storage.head(record.key), RetriesExhausted())
    damaged = stack.records.create(new_record(stack.records))
    stack.records.fail(
        stack.records.claim(damaged, stored_object(damaged), lease_seconds=LEASE_SECONDS), CorruptImage()
    )
    stored_image(stack, Status.SUCCESS)
    return given_up


def run(stack: Stack, **wanted: Any) -> Reprocessed:
    defaults: dict[str, Any] = {
        "status": Status.FAILED,
        "code": "retries_exhausted",
        "stage": Stage.ALL,
        "force": False,
    }
    defaults |= {"apply": True, "limit": None}
    rate = RateLimit(2, now_ms=stack.clock, sleep=stack.clock.sleep)
    return reprocess(stack.services, rate=rate, done=Reprocessed(), **(defaults | wanted))


def test_without_apply_images_are_only_counted(stack: Stack, failed: list[Record]) -> None:
    before = stack.every()
    assert run(stack, apply=False) == Reprocessed(examined=4, matching=3, requeued=0)
    assert (stack.every(), stack.messages()) == (before, [])


def test_images_with_the_code_are_reprocessed_with_one_message_each(stack: Stack, failed: list[Record]) -> None:
    began_ms = stack.clock.now_ms
    assert run(stack) == Reprocessed(examined=4, matching=3, requeued=3)
    assert stack.counts() == {"pending": 3, "failed": 1, "success": 1}
    assert len(stack.messages()) == 3
    assert stack.clock.now_ms - began_ms == 1_000
    assert run(stack) == Reprocessed(examined=1, matching=0, requeued=0)


def test_a_limit_counts_matching_images(stack: Stack, failed: list[Record]) -> None:
    assert run(stack, limit=2).requeued == 2
    assert stack.counts()["pending"] == 2


@pytest.mark.parametrize("force", [False, True])
def test_captions_are_computed_again_only_with_force(stack: Stack, failed: list[Record], force: bool) -> None:
    run(stack, force=force, limit=1)
    (pending,) = [record for record in stack.every() if record.status is Status.PENDING]
    assert pending.must_compute_caption() is force


def test_all_successful_images_can_be_reprocessed(stack: Stack, failed: list[Record]) -> None:
    assert run(stack, status=Status.SUCCESS, code=None).requeued == 1
    assert stack.counts() == {"pending": 1, "failed": 4}


def test_one_stage_can_be_reprocessed_alone(stack: Stack) -> None:
    stored_image(stack, Status.SUCCESS)
    assert run(stack, status=Status.SUCCESS, code=None, stage=Stage.CAPTION).requeued == 1
    requeued = stack.the_record()
    assert (requeued.has_saved(), requeued.has_caption()) == (True, False)


def test_an_image_that_is_deleted_at_the_same_time_is_skipped(stack: Stack, failed: list[Record]) -> None:
    def deleted() -> None:
        record = stack.other_records().get(failed[-1].image_id)
        assert record is not None
        stack.other_records().mark_deleting(record, deadline_seconds=30)

    stack.dynamodb.plan("transact_write_items", preceded_by(deleted))
    done = run(stack)
    assert (done.matching, done.requeued) == (3, 2)
