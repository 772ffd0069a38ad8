"""The transitions of docs/state.md: what they change, what they count, and when they are refused.

After every test the fixture that makes the stack asserts that the counters equal a recount.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from image_core.errors import (
    CaptionFailed,
    CorruptImage,
    RetriesExhausted,
    Superseded,
    Unavailable,
    UploadIncomplete,
)
from image_core.model import ModelInUse, ModelQuality, NextModel, Outcome, Record, Status
from image_core.stores.images import Records
from image_core.stores.queries import Listing
from tests.functional.emulator import Stack, done_but_raising, preceded_by, raising, repeated
from tests.functional.images import (
    LEASE_SECONDS,
    METADATA,
    attempt_thumbnails,
    image_in,
    new_record,
    outcome,
    stored_object,
)

RESERVED, PENDING, PROCESSING = Status.RESERVED, Status.PENDING, Status.PROCESSING
SUCCESS, FAILED, DELETING = Status.SUCCESS, Status.FAILED, Status.DELETING

Transition = Callable[[Records, Record], Record]


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack(tables_only=True)


def claim(records: Records, record: Record) -> Record:
    return records.claim(record, stored_object(record), lease_seconds=LEASE_SECONDS)


def save(records: Records, record: Record) -> Record:
    return records.save(record, metadata=METADATA, thumbnails=attempt_thumbnails(record))


def finish(records: Records, record: Record) -> Record:
    return records.finish(record, outcome())


def fail(records: Records, record: Record) -> Record:
    return records.fail(record, CorruptImage())


def give_up(records: Records, record: Record) -> Record:
    return records.give_up(record, stored_object(record), RetriesExhausted())


def reprocess(records: Records, record: Record) -> Record:
    return records.reprocess(record, pending_seconds=30)


def delete(records: Records, record: Record) -> Record:
    return records.mark_deleting(record, deadline_seconds=30)


def postpone(records: Records, record: Record) -> Record:
    return records.postpone(record, deadline_seconds=30)


ALLOWED = [
    (claim, RESERVED, PROCESSING),
    (claim, PENDING, PROCESSING),
    (claim, SUCCESS, PROCESSING),
    (claim, FAILED, PROCESSING),
    (claim, PROCESSING, PROCESSING),
    (save, PROCESSING, PROCESSING),
    (finish, PROCESSING, SUCCESS),
    (fail, PROCESSING, FAILED),
    (give_up, PENDING, FAILED),
    (give_up, PROCESSING, FAILED),
    (give_up, RESERVED, FAILED),
    (reprocess, PENDING, PENDING),
    (reprocess, PROCESSING, PENDING),
    (reprocess, SUCCESS, PENDING),
    (reprocess, FAILED, PENDING),
    (delete, RESERVED, DELETING),
    (delete, PENDING, DELETING),
    (delete, PROCESSING, DELETING),
    (delete, SUCCESS, DELETING),
    (delete, FAILED, DELETING),
    (postpone, RESERVED, RESERVED),
    (postpone, PENDING, PENDING),
    (postpone, PROCESSING, PROCESSING),
]
ON_REV = [row for row in ALLOWED if row[0] not in (save, finish, fail)]
ON_ATTEMPT = [row for row in ALLOWED if row[0] in (save, finish, fail)]


def counted(status: Status) -> dict[str, int]:
    return {} if status in (RESERVED, DELETING) else {str(status): 1}


def name_of(value: Any) -> str | None:
    return value.__name__ if callable(value) and not isinstance(value, Status) else None


@pytest.mark.parametrize(("transition", "before", "then"), ALLOWED, ids=name_of)
def test_a_transition_moves_the_record_and_its_count(
    stack: Stack, transition: Transition, before: Status, then: Status
) -> None:
    record = image_in(stack.records, before)
    assert stack.counts() == counted(before)
    moved = transition(stack.records, record)
    assert moved.status is then
    assert moved.rev == record.rev + 1
    assert stack.records.get(record.image_id) == moved
    assert stack.counts() == counted(then)


@pytest.mark.parametrize(("transition", "before", "then"), ON_REV, ids=name_of)
def test_a_transition_from_an_outdated_read_is_refused_and_changes_nothing(
    stack: Stack, transition: Transition, before: Status, then: Status
) -> None:
    outdated = image_in(stack.records, before)
    current = postpone(stack.records, outdated)
    stack.clock.advance(1)
    with pytest.raises(Superseded):
        transition(stack.records, outdated)
    assert stack.records.get(outdated.image_id) == current
    assert stack.counts() == counted(before)


@pytest.mark.parametrize(
    ("transition", "before", "then"),
    [*ON_ATTEMPT, (claim, PENDING, PROCESSING), (delete, SUCCESS, DELETING)],
    ids=name_of,
)
def test_a_transition_of_a_purged_record_is_refused(
    stack: Stack, transition: Transition, before: Status, then: Status
) -> None:
    gone = image_in(stack.records, before)
    stack.records.purge(delete(stack.records, gone))
    with pytest.raises(Superseded):
        transition(stack.records, gone)
    assert stack.every() == []


@pytest.mark.parametrize(("transition", "before", "then"), ALLOWED, ids=name_of)
def test_a_write_that_was_repeated_after_a_lost_reply_counts_once(
    stack: Stack, transition: Transition, before: Status, then: Status
) -> None:
    record = image_in(stack.records, before)
    stack.dynamodb.plan("transact_write_items", repeated)
    stack.dynamodb.plan("put_item", repeated)
    moved = transition(stack.records, record)
    assert stack.records.get(record.image_id) == moved
    assert stack.counts() == counted(then)


@pytest.mark.parametrize(("transition", "before", "then"), ALLOWED, ids=name_of)
def test_a_write_that_was_applied_although_it_raised_counts_once(
    stack: Stack, transition: Transition, before: Status, then: Status
) -> None:
    record = image_in(stack.records, before)
    lost = done_but_raising(ConnectionClosedError(endpoint_url=stack.url))
    stack.dynamodb.plan("transact_write_items", lost)
    stack.dynamodb.plan("put_item", lost)
    with pytest.raises(ConnectionClosedError):
        transition(stack.records, record)
    assert stack.the_record().status is then
    assert stack.counts() == counted(then)


# create, reserve, and records that start with another transition


def test_a_created_record_is_listed_and_counted(stack: Stack) -> None:
    record = stack.records.create(new_record(stack.records))
    assert record.status is PENDING and record.rev > 0
    assert stack.counts() == {"pending": 1}
    assert stack.records.read(Listing(), limit=10).records == [record]


def test_a_reservation_is_neither_listed_nor_counted(stack: Stack) -> None:
    record = stack.records.reserve(new_record(stack.records))
    assert record.status is RESERVED and record.rev > 0
    assert stack.counts() == {}
    assert stack.records.read(Listing(), limit=10).records == []
    assert stack.records.get(record.image_id) == record


def test_a_direct_drop_starts_with_its_claim(stack: Stack) -> None:
    new = new_record(stack.records, source="bucket")
    claimed = claim(stack.records, new)
    assert (claimed.status, claimed.attempts) == (PROCESSING, 1) and claimed.rev > 0
    assert stack.counts() == {"processing": 1}


def test_a_record_can_start_as_failed(stack: Stack) -> None:
    new = new_record(stack.records, source="bucket")
    ended = give_up(stack.records, new)
    assert (ended.status, ended.version) == (FAILED, "v1") and ended.rev > 0
    assert stack.counts() == {"failed": 1}


@pytest.mark.parametrize("begin", [Records.create, Records.reserve, claim, give_up])
def test_only_one_record_can_start_with_an_id(stack: Stack, begin: Transition) -> None:
    first = image_in(stack.records, SUCCESS)
    with pytest.raises(Superseded):
        begin(stack.records, new_record(stack.records, image_id=first.image_id, original_name="another.jpg"))
    assert stack.every() == [first]


@pytest.mark.parametrize("begin", [Records.create, Records.reserve, claim, give_up])
def test_a_first_write_that_was_repeated_after_a_lost_reply_counts_once(stack: Stack, begin: Transition) -> None:
    stack.dynamodb.plan("transact_write_items", repeated)
    stack.dynamodb.plan("put_item", repeated)
    begun = begin(stack.records, new_record(stack.records))
    assert stack.every() == [begun]


# purge


@pytest.mark.parametrize("status", [DELETING, RESERVED])
def test_a_purged_record_disappears_and_was_not_counted(stack: Stack, status: Status) -> None:
    record = image_in(stack.records, status)
    stack.records.purge(record)
    assert stack.every() == []
    assert stack.counts() == {}


def test_a_record_that_has_changed_is_not_purged(stack: Stack) -> None:
    reserved = image_in(stack.records, RESERVED)
    arrived = claim(stack.records, reserved)
    with pytest.raises(Superseded):
        stack.records.purge(reserved)
    assert stack.every() == [arrived]


def test_purging_twice_has_the_effect_of_purging_once(stack: Stack) -> None:
    record = image_in(stack.records, DELETING)
    stack.dynamodb.plan("delete_item", repeated)
    stack.records.purge(record)
    stack.records.purge(record)
    assert stack.every() == []


# Racing


def test_one_of_two_simultaneous_claims_is_superseded(stack: Stack) -> None:
    record = image_in(stack.records, PENDING)
    winners: list[Record] = []
    other = stack.other_records()
    stack.dynamodb.plan("transact_write_items", preceded_by(lambda: winners.append(claim(other, record))))
    with pytest.raises(Superseded):
        claim(stack.records, record)
    assert stack.every() == winners
    assert stack.the_record().attempts == 1
    assert stack.counts() == {"processing": 1}


@pytest.mark.parametrize("action", [reprocess, delete, claim])
@pytest.mark.parametrize(("transition", "before", "then"), ON_ATTEMPT, ids=name_of)
def test_a_worker_that_was_replaced_cannot_write(
    stack: Stack, transition: Transition, before: Status, then: Status, action: Transition
) -> None:
    mine = image_in(stack.records, before)
    changed = action(stack.records, mine)
    with pytest.raises(Superseded):
        transition(stack.records, mine)
    assert stack.every() == [changed]


@pytest.mark.parametrize(("transition", "before", "then"), ON_ATTEMPT, ids=name_of)
def test_a_worker_with_the_current_attempt_can_write_although_the_rev_has_changed(
    stack: Stack, transition: Transition, before: Status, then: Status
) -> None:
    mine = image_in(stack.records, before)
    postponed = postpone(stack.records, mine)
    moved = transition(stack.records, mine)
    assert (moved.status, moved.rev) == (then, postponed.rev + 1)
    assert moved.postponed == postponed.postponed
    assert stack.every() == [moved]


def test_a_worker_stops_if_another_write_precedes_each_of_its_tries(stack: Stack) -> None:
    mine = image_in(stack.records, PROCESSING)

    def postpone_once_more() -> None:
        postpone(stack.other_records(), stack.the_record())

    # Each try reads the record, and another write comes first. That write (postpone) uses put_item.
    stack.dynamodb.plan("transact_write_items", *[preceded_by(postpone_once_more)] * 20)
    with pytest.raises(Superseded):
        finish(stack.records, mine)
    assert len(stack.dynamodb.arguments("transact_write_items")) < 25  # including those of image_in


# Conflicts between transactions


def cancelled(stack: Stack, *codes: str) -> Exception:
    reasons = [{"Code": code} for code in codes]
    response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    error: Exception = stack.dynamodb.exceptions.TransactionCanceledException(response, "TransactWriteItems")
    return error


def shards(stack: Stack) -> list[str]:
    return [
        write["Update"]["Key"]["shard"]["N"]
        for arguments in stack.dynamodb.arguments("transact_write_items")
        for write in arguments["TransactItems"]
        if "Update" in write
    ]


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_conflict_over_a_counter_is_retried_on_another_shard(stack: Stack, code: str) -> None:
    conflict = raising(cancelled(stack, "None", code))
    stack.dynamodb.plan("transact_write_items", *[conflict] * 5)
    record = stack.records.create(new_record(stack.records))
    assert stack.every() == [record]
    assert len(shards(stack)) == 6
    assert len(set(shards(stack))) > 1
    assert len(stack.clock.slept) == 5


def test_endless_conflicts_are_given_up_within_seconds(stack: Stack) -> None:
    stack.dynamodb.plan("transact_write_items", *[raising(cancelled(stack, "TransactionConflict", "None"))] * 50)
    with pytest.raises(Unavailable):
        stack.records.create(new_record(stack.records))
    assert stack.every() == []
    assert sum(stack.clock.slept) < 5


def test_a_failed_condition_together_with_a_conflict_is_superseded(stack: Stack) -> None:
    error = cancelled(stack, "ConditionalCheckFailed", "TransactionConflict")
    stack.dynamodb.plan("transact_write_items", raising(error))
    with pytest.raises(Superseded):
        claim(stack.records, new_record(stack.records))
    assert stack.clock.slept == []


def test_a_permanent_error_is_raised_at_once(stack: Stack) -> None:
    stack.dynamodb.plan("transact_write_items", raising(cancelled(stack, "ValidationError", "None")))
    with pytest.raises(ClientError):
        stack.records.create(new_record(stack.records))
    assert stack.clock.slept == []


def test_writes_are_spread_over_all_shards(stack: Stack) -> None:
    for _ in range(20):
        stack.records.create(new_record(stack.records))
    assert set(shards(stack)) == {"0", "1", "2"}


def test_statistics_cost_one_query_for_any_number_of_images(stack: Stack) -> None:
    for _ in range(10):
        image_in(stack.records, SUCCESS)
    stack.dynamodb.calls.clear()
    stats = stack.records.stats()
    assert stats.counts[SUCCESS] == 10
    assert stats.processing_ms_total == 4200
    assert [name for name, _ in stack.dynamodb.calls] == ["query"]


# What claim, reprocess, save, finish and fail do to existing results


def test_a_claim_lasts_as_long_as_its_lease(stack: Stack) -> None:
    claimed = claim(stack.records, image_in(stack.records, PENDING))
    assert claimed.lease_until == claimed.deadline == stack.clock.now_ms + LEASE_SECONDS * 1000
    assert claimed.has_live_lease(stack.clock.now_ms + LEASE_SECONDS * 1000 - 1)
    assert not claimed.has_live_lease(stack.clock.now_ms + LEASE_SECONDS * 1000)


def test_every_claim_has_its_own_token(stack: Stack) -> None:
    first = claim(stack.records, image_in(stack.records, PENDING))
    second = claim(stack.records, first)
    assert first.attempt and second.attempt and first.attempt != second.attempt


def test_attempts_are_counted_separately_for_each_version_and_generation(stack: Stack) -> None:
    first = claim(stack.records, image_in(stack.records, PENDING))
    second = claim(stack.records, first)
    newer = stack.records.claim(second, stored_object(second, "v2"), lease_seconds=LEASE_SECONDS)
    again = stack.records.claim(newer, stored_object(newer, "v2"), lease_seconds=LEASE_SECONDS)
    next_generation = stack.records.claim(
        reprocess(stack.records, again), stored_object(again, "v2"), lease_seconds=LEASE_SECONDS
    )
    counted = [record.attempts for record in (first, second, newer, again, next_generation)]
    assert counted == [1, 2, 1, 2, 1]


def test_a_reservation_enters_the_list_when_its_file_arrives(stack: Stack) -> None:
    reserved = image_in(stack.records, RESERVED)
    stack.clock.advance(60)
    later = image_in(stack.records, PENDING)
    stack.clock.advance(60)
    arrived = claim(stack.records, reserved)
    assert arrived.created_ms == stack.clock.now_ms
    assert [r.image_id for r in stack.records.read(Listing(), limit=10).records] == [
        arrived.image_id,
        later.image_id,
    ]


def caption_fields(record: Record) -> dict[str, Any]:
    """The fields of the record that describe its caption, without those that say what to do with it."""
    names = {one.name for one in fields(Outcome) if one.name.startswith("caption")}
    return {name: getattr(record, name) for name in names}


@pytest.mark.parametrize("reprocess_again", [claim, reprocess])
def test_results_stay_after_a_reprocess_or_a_new_claim(stack: Stack, reprocess_again: Transition) -> None:
    done = image_in(stack.records, SUCCESS)
    begun = reprocess_again(stack.records, done)
    assert (begun.metadata, begun.thumbnails) == (done.metadata, done.thumbnails)
    assert caption_fields(begun) == caption_fields(done)


def test_reprocessing_clears_the_failure(stack: Stack) -> None:
    failed = image_in(stack.records, FAILED)
    assert failed.error == {"code": "caption_failed", "message": CaptionFailed().message}
    assert reprocess(stack.records, failed).error is None


def test_the_caption_stays_when_the_same_version_is_saved_again(stack: Stack) -> None:
    done = image_in(stack.records, SUCCESS)
    saved = save(stack.records, claim(stack.records, done))
    assert caption_fields(saved) == caption_fields(done)


def test_a_new_version_loses_the_caption_when_its_thumbnails_are_saved(stack: Stack) -> None:
    done = image_in(stack.records, SUCCESS)
    claimed = stack.records.claim(done, stored_object(done, "v2"), lease_seconds=LEASE_SECONDS)
    saved = save(stack.records, claimed)
    assert set(caption_fields(saved).values()) == {None}
    assert saved.thumbnails is not None and saved.thumbnails.version == "v2"


def test_finish_stores_the_outcomes_version_and_generation(stack: Stack) -> None:
    mine = image_in(stack.records, PROCESSING)
    stack.clock.advance(2)
    done = finish(stack.records, save(stack.records, mine))
    assert done.is_finished_for("v1")
    assert not done.is_finished_for("v2")
    assert not reprocess(stack.records, done).is_finished_for("v1")
    assert done.attempt is None
    assert (done.deadline, done.lease_until) == (0, 0)
    assert (done.processed_ms, done.processing_ms) == (stack.clock.now_ms, 420)


@pytest.mark.parametrize("end", [fail, give_up])
def test_a_failure_keeps_the_thumbnails_of_the_same_version(stack: Stack, end: Transition) -> None:
    saved = save(stack.records, image_in(stack.records, PROCESSING))
    failed = end(stack.records, saved)
    assert failed.thumbnails == saved.thumbnails
    assert failed.metadata == METADATA


def test_a_failure_drops_the_thumbnails_of_an_older_version(stack: Stack) -> None:
    done = image_in(stack.records, SUCCESS)
    claimed = stack.records.claim(done, stored_object(done, "v2"), lease_seconds=LEASE_SECONDS)
    failed = fail(stack.records, claimed)
    assert (failed.thumbnails, failed.metadata) == (None, None)
    assert set(caption_fields(failed).values()) == {None}
    assert failed.is_finished_for("v2")


def test_an_upload_that_failed_without_an_object_can_still_arrive(stack: Stack) -> None:
    record = image_in(stack.records, PENDING)
    failed = stack.records.give_up(record, None, UploadIncomplete())
    assert failed.error is not None and failed.error["code"] == "upload_incomplete"
    assert failed.version is None
    assert not failed.is_finished_for("v1")
    assert claim(stack.records, failed).status is PROCESSING
    assert stack.counts() == {"processing": 1}


def test_reprocessing_a_success_subtracts_its_time_from_the_statistics(stack: Stack) -> None:
    first, second = image_in(stack.records, SUCCESS), image_in(stack.records, SUCCESS)
    reprocess(stack.records, first)
    assert stack.records.stats().processing_ms_total == 420
    claim(stack.records, second)
    stats = stack.records.stats()
    assert (stats.processing_ms_total, stats.histogram) == (0, {})


# Deadlines


def test_a_deletion_of_a_claimed_file_has_its_own_deadline(stack: Stack) -> None:
    record = image_in(stack.records, SUCCESS)
    assert delete(stack.records, record).deadline == stack.clock.now_ms + 30_000


def test_a_deletion_before_anything_arrived_waits_until_nothing_can_arrive(stack: Stack) -> None:
    until = stack.clock.now_ms + 3_600_000
    reserved = image_in(stack.records, RESERVED, deadline=until)
    assert delete(stack.records, reserved).deadline == until


def test_each_postponement_is_twice_as_long_as_the_one_before(stack: Stack) -> None:
    record = image_in(stack.records, PENDING)
    delays = []
    for _ in range(8):
        record = postpone(stack.records, record)
        delays.append((record.deadline - stack.clock.now_ms) // 1000)
    assert delays == [30, 60, 120, 240, 480, 960, 1920, 3840]
    assert claim(stack.records, record).postponed == 0


# Unusual values


def test_numbers_and_texts_without_a_dynamodb_type_are_stored_unchanged(stack: Stack) -> None:
    odd = METADATA | {
        "exif": {"huge": 1e300, "tiny": 5e-324, "empty": "", "deep": [[None, True]], "é": "\U0001f33b"}
    }
    claimed = image_in(stack.records, PROCESSING)
    saved = stack.records.save(claimed, metadata=odd, thumbnails=attempt_thumbnails(claimed))
    assert stack.records.get(claimed.image_id) == saved
    assert saved.metadata == odd


def test_a_record_without_a_name_can_be_read(stack: Stack) -> None:
    record = stack.records.create(new_record(stack.records, original_name="", key=""))
    assert stack.records.get(record.image_id) == replace(record, original_name="", key="")


# The caption model


def test_the_last_announced_model_is_in_use_and_not_a_statistic(stack: Stack) -> None:
    assert stack.records.caption_model() == ModelInUse(None, None)
    stack.records.announce_caption_model("demo@1")
    quality = ModelQuality("int8", 0.998, 0.9998)
    stack.records.announce_caption_model("Salesforce/blip@2", quality)
    assert stack.records.caption_model() == ModelInUse("Salesforce/blip@2", None, quality)
    assert stack.counts() == {}


def test_the_next_model_is_announced_with_its_progress_until_it_is_in_use(stack: Stack) -> None:
    stack.records.announce_caption_model("demo@1")
    stack.records.announce_next_caption_model(NextModel("Salesforce/blip", 7))
    stack.records.announce_next_caption_model(NextModel("Salesforce/blip", 42))
    assert stack.records.caption_model() == ModelInUse("demo@1", NextModel("Salesforce/blip", 42))
    stack.records.announce_caption_model("Salesforce/blip@2")
    assert stack.records.caption_model() == ModelInUse("Salesforce/blip@2", None)
