"""The sweep: the table in docs/state.md tested with tables and buckets, errors, and little time."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from image_core.lifecycle.retries import MAX_TRIES
from image_core.model import Record, Status
from image_core.stores.queue import parse_message
from image_recovery.handler import handle, sweep
from tests.events import load
from tests.functional.emulator import Stack, preceded_by, raising
from tests.functional.images import LEASE_SECONDS, image_in, stored_image, stored_object

LOST = ConnectionClosedError(endpoint_url="https://aws")


def later(stack: Stack) -> None:
    """Move the clock past every deadline of a new record, claim or deletion in these tests."""
    stack.clock.advance(31)


def keys_on_the_queue(stack: Stack) -> list[str]:
    return [event.key for message in stack.messages() for event in parse_message(message["Body"])]


def code_of(record: Record) -> str | None:
    return record.error["code"] if record.error else None


def claimed_until_used_up(stack: Stack, record: Record) -> Record:
    for _ in range(stack.settings.max_attempts - record.attempts):
        stored = stack.services.storage.head(record.key) or stored_object(record, str(record.version))
        record = stack.records.claim(record, stored, lease_seconds=LEASE_SECONDS)
    return record


@pytest.mark.parametrize("status", Status)
def test_images_before_their_deadline_stay_unchanged(stack: Stack, status: Status) -> None:
    record = image_in(stack.records, status)
    assert sweep(stack.services) == {}
    assert stack.every() == [record]


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILED])
def test_finished_images_stay_unchanged(stack: Stack, status: Status) -> None:
    record = stored_image(stack, status)
    stack.clock.advance(10**8)
    assert sweep(stack.services) == {}
    assert stack.every() == [record]


# The object is absent


def test_an_upload_that_never_arrived_fails_as_incomplete(stack: Stack) -> None:
    image_in(stack.records, Status.PENDING)
    later(stack)
    assert sweep(stack.services) == {"never_arrived": 1}
    record = stack.the_record()
    assert (record.status, code_of(record)) == (Status.FAILED, "upload_incomplete")
    assert stack.counts() == {"failed": 1}
    assert sweep(stack.services) == {}


def test_an_unused_reservation_is_purged(stack: Stack) -> None:
    image_in(stack.records, Status.RESERVED)
    later(stack)
    assert sweep(stack.services) == {"purge": 1}
    assert stack.every() == []


@pytest.mark.parametrize("begun_anew", [True, False])
def test_an_image_whose_file_was_removed_is_deleted_with_its_thumbnails(stack: Stack, begun_anew: bool) -> None:
    record = stored_image(stack, Status.PROCESSING)
    if begun_anew:
        stack.records.reprocess(record, pending_seconds=30)
    stack.remove(record.key)
    later(stack)
    assert sweep(stack.services) == {"delete": 1}
    assert (stack.every(), stack.thumbnails(), stack.counts()) == ([], set(), {})


# The object is present


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING])
def test_an_image_without_progress_is_requeued_and_checked_later(stack: Stack, status: Status) -> None:
    record = stored_image(stack, status, key="some folder/my photo+1 é.jpg")
    later(stack)
    assert sweep(stack.services) == {"requeue": 1}
    after = stack.the_record()
    assert keys_on_the_queue(stack) == ["some folder/my photo+1 é.jpg"]
    assert (after.status, after.postponed) == (record.status, 1)
    assert after.deadline == stack.clock.now_ms + 30_000
    assert sweep(stack.services) == {}


def test_a_reservation_whose_file_arrived_without_an_event_is_requeued(stack: Stack) -> None:
    record = image_in(stack.records, Status.RESERVED)
    stack.put(record.key)
    later(stack)
    assert sweep(stack.services) == {"requeue": 1}
    assert keys_on_the_queue(stack) == [record.key]
    assert stack.counts() == {}


def test_an_image_gets_at_most_eight_messages_while_the_queue_is_hours_long(stack: Stack) -> None:
    stored_image(stack, Status.PENDING)
    actions: list[str] = []
    for _ in range(9):
        stack.clock.now_ms = stack.the_record().deadline - 1
        assert sweep(stack.services) == {}
        stack.clock.now_ms += 1
        actions += sweep(stack.services)
    assert actions == ["requeue"] * 8 + ["give_up"]
    assert code_of(stack.the_record()) == "retries_exhausted"
    assert len(stack.sqs.arguments("send_message")) == 8


def test_used_up_attempts_fail_the_image_and_keep_the_thumbnails(stack: Stack) -> None:
    record = stored_image(stack, Status.PROCESSING)
    claimed_until_used_up(stack, record)
    stray = f"{record.image_id}/0123456789abcdef/small"
    stack.services.storage.put_thumbnail(stray, b"of another attempt", content_type="image/jpeg")
    later(stack)
    assert sweep(stack.services) == {"give_up": 1}
    after = stack.the_record()
    assert (after.status, code_of(after)) == (Status.FAILED, "retries_exhausted")
    assert after.thumbnails is not None
    assert stack.thumbnails() == {info.key for info in after.thumbnails.sizes.values()}
    assert keys_on_the_queue(stack) == []


def test_a_live_lease_is_respected_whatever_the_number_of_attempts(stack: Stack) -> None:
    record = claimed_until_used_up(stack, stored_image(stack, Status.PROCESSING))
    stack.clock.advance(LEASE_SECONDS - 0.001)
    assert sweep(stack.services) == {}
    assert stack.every() == [record]


# Interrupted deletions


@pytest.mark.parametrize("object_is_there", [True, False])
def test_an_interrupted_deletion_is_completed(stack: Stack, object_is_there: bool) -> None:
    record = stored_image(stack, Status.SUCCESS)
    stack.records.mark_deleting(record, deadline_seconds=30)
    if not object_is_there:
        stack.remove(record.key)
    later(stack)
    assert sweep(stack.services) == {"delete": 1}
    assert (stack.every(), stack.originals(), stack.thumbnails()) == ([], set(), set())


def test_an_upload_that_arrives_after_its_deletion_does_not_come_back(stack: Stack) -> None:
    record = image_in(stack.records, Status.PENDING)
    stack.records.mark_deleting(record, deadline_seconds=30)
    stack.put(record.key)
    later(stack)
    assert sweep(stack.services) == {"delete": 1}
    assert (stack.every(), stack.originals()) == ([], set())
    assert keys_on_the_queue(stack) == []


def test_a_new_file_under_the_key_of_a_deleted_image_is_kept_and_processed(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS, key="photo.jpg")
    stack.records.mark_deleting(record, deadline_seconds=30)
    stack.put("photo.jpg", b"a new picture")
    later(stack)
    assert sweep(stack.services) == {"delete": 1}
    assert (stack.every(), stack.originals()) == ([], {"photo.jpg"})
    assert keys_on_the_queue(stack) == ["photo.jpg"]


# Errors, races, time


def test_the_message_is_sent_before_the_record_is_postponed(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    later(stack)
    stack.dynamodb.plan("put_item", raising(LOST))
    with pytest.raises(ExceptionGroup):
        sweep(stack.services)
    assert keys_on_the_queue(stack) == [record.key]
    assert stack.every() == [record]


def test_a_message_that_cannot_be_sent_is_sent_by_the_next_sweep(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    later(stack)
    stack.sqs.plan("send_message", raising(LOST))
    with pytest.raises(ExceptionGroup):
        sweep(stack.services)
    assert sweep(stack.services) == {"requeue": 1}
    assert keys_on_the_queue(stack) == [record.key]


def test_one_image_that_cannot_be_handled_does_not_block_the_others(stack: Stack) -> None:
    for _ in range(3):
        image_in(stack.records, Status.PENDING)
    image_in(stack.records, Status.RESERVED)
    later(stack)
    stack.s3.plan("head_object", raising(LOST))
    with pytest.raises(ExceptionGroup) as group:
        sweep(stack.services)
    assert group.value.exceptions == (LOST,)
    assert [record.status for record in stack.every()].count(Status.FAILED) >= 2
    sweep(stack.services)
    assert stack.counts() == {"failed": 3}
    assert {record.status for record in stack.every()} == {Status.FAILED}


def test_an_image_that_changes_while_it_is_checked_is_skipped(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    stack.remove(record.key)
    later(stack)

    def arrives_late() -> None:
        stack.put(record.key)
        stored = stack.services.storage.head(record.key)
        assert stored is not None
        stack.other_records().claim(record, stored, lease_seconds=LEASE_SECONDS)

    stack.dynamodb.plan("transact_write_items", preceded_by(arrives_late))
    assert sweep(stack.services) == {"nothing": 1}
    assert stack.the_record().status is Status.PROCESSING


def test_an_image_that_keeps_changing_is_skipped(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    stack.remove(record.key)
    later(stack)

    def describe() -> None:
        now = stack.other_records().get(record.image_id)
        assert now is not None
        stack.other_records().describe(now, title=f"revision {now.rev}", alt_text=None, tags=None)

    for _ in range(MAX_TRIES):
        stack.dynamodb.plan("transact_write_items", preceded_by(describe))
    assert sweep(stack.services) == {}
    assert stack.the_record().status is Status.PENDING


def test_an_image_purged_while_it_is_checked_is_not_an_error(stack: Stack) -> None:
    record = image_in(stack.records, Status.PENDING)
    later(stack)
    other_records = stack.other_records()
    stack.dynamodb.plan(
        "get_item",
        preceded_by(lambda: other_records.purge(other_records.mark_deleting(record, deadline_seconds=30))),
    )
    assert sweep(stack.services) == {"nothing": 1}


class Context:
    """A Lambda context whose time runs out after so many calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def get_remaining_time_in_millis(self) -> int:
        self.calls -= 1
        return 60_000 if self.calls >= 0 else 4_000


def test_the_schedule_runs_the_sweep_and_returns_its_counts(stack: Stack) -> None:
    image_in(stack.records, Status.PENDING)
    image_in(stack.records, Status.RESERVED)
    later(stack)
    context: Any = Context(100)
    assert handle(load("schedule.json"), context, stack.services) == {"purge": 1, "never_arrived": 1}


def test_the_sweep_raises_its_errors_also_when_time_runs_out(stack: Stack) -> None:
    for _ in range(3):
        image_in(stack.records, Status.PENDING)
    later(stack)
    stack.s3.plan("head_object", raising(LOST))
    context: Any = Context(2)
    with pytest.raises(ExceptionGroup) as group:
        handle(load("schedule.json"), context, stack.services)
    assert group.value.exceptions == (LOST,)
    assert [record.status for record in stack.every()].count(Status.FAILED) == 1


def test_the_sweep_stops_in_time_and_the_next_one_continues(stack: Stack) -> None:
    for _ in range(3):
        image_in(stack.records, Status.PENDING)
    later(stack)
    first, second = Context(2), Context(100)
    assert handle(load("schedule.json"), first, stack.services) == {"never_arrived": 2}  # type: ignore[arg-type]
    assert handle(load("schedule.json"), second, stack.services) == {"never_arrived": 1}  # type: ignore[arg-type]
