"""`ops reprocess`: reprocess many images. Which images, how many, how fast."""

from __future__ import annotations

from typing import Any

import pytest

from image_core.errors import CorruptImage, RetriesExhausted
from image_core.model import Record, Stage, Status
from ops.rate import RateLimit
from ops.reprocess import Reprocessed, Selection, reprocess
from tests.functional.emulator import Stack, preceded_by
from tests.functional.images import (
    LEASE_SECONDS,
    METADATA,
    attempt_thumbnails,
    new_record,
    outcome,
    stored_image,
    stored_object,
)


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


def run(stack: Stack, selection: Selection | None = None, **wanted: Any) -> Reprocessed:
    selection = selection or Selection(Status.FAILED, code="retries_exhausted")
    defaults: dict[str, Any] = {"stage": Stage.ALL, "force": False, "apply": True, "limit": None}
    rate = RateLimit(2, now_ms=stack.clock, sleep=stack.clock.sleep)
    return reprocess(stack.services, selection, rate=rate, done=Reprocessed(), **(defaults | wanted))


SUCCESSFUL = Selection(Status.SUCCESS)


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
    assert run(stack, SUCCESSFUL).requeued == 1
    assert stack.counts() == {"pending": 1, "failed": 4}


def test_one_stage_can_be_reprocessed_alone(stack: Stack) -> None:
    stored_image(stack, Status.SUCCESS)
    assert run(stack, SUCCESSFUL, stage=Stage.CAPTION).requeued == 1
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


def captioned(stack: Stack, model: str, caption: str = "a lake", **fields: Any) -> Record:
    """Create an image whose caption is by `model`."""
    new = stack.records.create(new_record(stack.records))
    claimed = stack.records.claim(new, stored_object(new), lease_seconds=LEASE_SECONDS)
    saved = stack.records.save(claimed, metadata=METADATA, thumbnails=attempt_thumbnails(claimed))
    return stack.records.finish(saved, outcome(caption=caption, caption_model=model, **fields))


def waiting(stack: Stack) -> set[str]:
    return {record.image_id for record in stack.every() if record.status is Status.PENDING}


def test_captions_of_other_models_are_selected_and_a_repeated_run_selects_only_what_remains(stack: Stack) -> None:
    captioned(stack, "blip@2")
    old = {captioned(stack, model).image_id for model in ("blip@1", "demo@1", "demo@1")}
    selection = Selection(Status.SUCCESS, model_not="blip@2")
    done = run(stack, selection, stage=Stage.CAPTION, limit=2)
    assert (done.matching, done.requeued) == (2, 2)
    first = waiting(stack)
    assert first < old
    assert run(stack, selection, stage=Stage.CAPTION) == Reprocessed(examined=2, matching=1, requeued=1)
    assert waiting(stack) == old
    assert all(record.has_saved() for record in stack.every()), "thumbnails and metadata are kept"


@pytest.mark.parametrize(("name", "doubts"), [("blip@2", 0), ("blip@3", 1)])
def test_a_name_other_than_the_current_models_is_doubted(stack: Stack, name: str, doubts: int) -> None:
    captioned(stack, "blip@2")
    warnings: list[str] = []
    done = run(stack, Selection(Status.SUCCESS, model_not=name), current_model="blip@2", warn=warnings.append)
    assert (done.matching, len(warnings)) == (doubts, doubts)
    assert all("blip@3 is not the current model, which is blip@2." in warning for warning in warnings)


def test_a_flag_selects_captions_together_with_the_model(stack: Stack) -> None:
    wanted = captioned(stack, "demo@1", caption_flags=("too_short", "repetitive"))
    captioned(stack, "demo@1", caption_flags=("too_short",))
    captioned(stack, "demo@1", caption_flags=None)
    captioned(stack, "blip@2", caption_flags=("repetitive",))
    selection = Selection(Status.SUCCESS, model_not="blip@2", flag="repetitive")
    assert run(stack, selection) == Reprocessed(examined=4, matching=1, requeued=1)
    assert waiting(stack) == {wanted.image_id}


def test_a_search_selects_images_together_with_the_model(stack: Stack) -> None:
    wanted = captioned(stack, "demo@1", "a red boat")
    for model, caption in (("demo@1", "a lake"), ("blip@2", "a red boat")):
        captioned(stack, model, caption)
    stack.update_search_index()
    warnings: list[str] = []
    selection = Selection(Status.SUCCESS, model_not="blip@2", query="boats ")
    assert run(stack, selection, warn=warnings.append) == Reprocessed(examined=2, matching=1, requeued=1)
    assert (waiting(stack), warnings) == ({wanted.image_id}, [])


def test_a_dry_run_measures_the_current_model_and_counts_captions_by_model(stack: Stack) -> None:
    for model in ("blip@2", "demo@1", "demo@1"):
        captioned(stack, model)
    selection = Selection(Status.SUCCESS, model_not="blip@2")
    done = run(stack, selection, apply=False, current_model="blip@2")
    assert done.by_model == {"demo@1": 2}
    assert (done.measured.of_current_model.images, done.measured.selected.images) == (1, 2)
    assert waiting(stack) == set()


def test_accepted_and_written_alt_texts_stay_when_captions_are_renewed(stack: Stack) -> None:
    for source in ("caption", "person"):
        record = captioned(stack, "demo@1", "a lake")
        stack.records.describe(record, title=None, alt_text="a lake", alt_text_source=source, tags=None)
    run(stack, Selection(Status.SUCCESS, model_not="blip@2"), stage=Stage.CAPTION)
    for record in stack.every():
        claimed = stack.records.claim(record, stored_object(record), lease_seconds=LEASE_SECONDS)
        stack.records.finish(claimed, outcome(caption="a river", caption_model="blip@2"))
    texts = {(record.caption, record.alt_text, record.alt_text_source) for record in stack.every()}
    assert texts == {("a river", "a lake", "caption"), ("a river", "a lake", "person")}
