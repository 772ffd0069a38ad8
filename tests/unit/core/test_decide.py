"""The tables in docs/state.md, row by row: the decisions about events, dead letters and deadlines."""

from __future__ import annotations

from typing import Any

import pytest

from image_core.errors import Busy
from image_core.lifecycle.decide import MAX_POSTPONES, Decision, decide_dead_letter, decide_deadline, decide_event
from image_core.model import Record, Status, StoredObject
from tests.unit.core.builders import NOW_MS, record, stored

MAX_ATTEMPTS = 3
ALIVE, OVER = NOW_MS + 1, NOW_MS

# Records, named after what has happened to them. The bucket contains version `v1` unless a test says otherwise.
RESERVED = record(status=Status.RESERVED)
PENDING = record(status=Status.PENDING)
NEVER_ARRIVED = record(status=Status.FAILED, finished_version=None, finished_generation=1)
DELETING = record(status=Status.DELETING, version="v1", deadline=NOW_MS + 60_000)
SUCCESS = record(status=Status.SUCCESS, version="v1", attempts=1, finished_version="v1", finished_generation=1)
FAILED = record(status=Status.FAILED, version="v1", attempts=1, finished_version="v1", finished_generation=1)
REPROCESSED = record(
    status=Status.PENDING, generation=2, version="v1", finished_version="v1", finished_generation=1
)


def processing(**fields: Any) -> Record:
    return record(**({"status": Status.PROCESSING, "version": "v1", "attempts": 1, "lease_until": OVER} | fields))


def event(record_then: Record | None, object_now: StoredObject | None) -> Decision:
    return decide_event(record_then, object_now, now_ms=NOW_MS, max_attempts=MAX_ATTEMPTS)


@pytest.mark.parametrize(
    ("record_then", "decision"),
    [
        pytest.param(None, Decision.NOTHING, id="none"),
        pytest.param(RESERVED, Decision.NOTHING, id="reserved"),
        pytest.param(PENDING, Decision.NOTHING, id="pending without a version"),
        pytest.param(NEVER_ARRIVED, Decision.NOTHING, id="failed without a version"),
        pytest.param(REPROCESSED, Decision.DELETE, id="pending with a version"),
        pytest.param(processing(lease_until=ALIVE), Decision.DELETE, id="processing, lease alive"),
        pytest.param(processing(), Decision.DELETE, id="processing, lease over"),
        pytest.param(SUCCESS, Decision.DELETE, id="success"),
        pytest.param(FAILED, Decision.DELETE, id="failed with a version"),
        pytest.param(DELETING, Decision.DELETE, id="deleting"),
    ],
)
def test_an_event_without_an_object(record_then: Record | None, decision: Decision) -> None:
    assert event(record_then, None) is decision


@pytest.mark.parametrize(
    ("record_then", "object_now", "decision"),
    [
        pytest.param(None, stored(), Decision.CLAIM, id="no record: a direct drop"),
        pytest.param(RESERVED, stored(), Decision.CLAIM, id="a reservation arrives"),
        pytest.param(PENDING, stored(), Decision.CLAIM, id="an upload arrives"),
        pytest.param(NEVER_ARRIVED, stored(), Decision.CLAIM, id="a late arrival"),
        pytest.param(SUCCESS, stored(), Decision.NOTHING, id="success: a duplicate event"),
        pytest.param(FAILED, stored(), Decision.NOTHING, id="failed: a duplicate event"),
        pytest.param(SUCCESS, stored("v2"), Decision.CLAIM, id="success, overwritten since"),
        pytest.param(FAILED, stored("v2"), Decision.CLAIM, id="failed, overwritten since"),
        pytest.param(REPROCESSED, stored(), Decision.CLAIM, id="finished, but in an earlier generation"),
        pytest.param(processing(lease_until=OVER), stored(), Decision.CLAIM, id="the lease is over"),
        pytest.param(processing(lease_until=ALIVE), stored("v2"), Decision.CLAIM, id="a lease on an older version"),
        pytest.param(processing(attempts=2), stored(), Decision.CLAIM, id="one attempt left"),
        pytest.param(processing(attempts=3), stored(), Decision.GIVE_UP, id="attempts used up, lease over"),
        pytest.param(processing(attempts=3), stored("v2"), Decision.CLAIM, id="used up on an older version"),
        pytest.param(record(version="v1", attempts=0), stored(), Decision.CLAIM, id="a new generation counts anew"),
    ],
)
def test_an_event_with_an_object(record_then: Record | None, object_now: StoredObject, decision: Decision) -> None:
    assert event(record_then, object_now) is decision


@pytest.mark.parametrize(
    ("record_then", "seconds"),
    [
        pytest.param(processing(lease_until=NOW_MS + 42_500), 42.5, id="until the lease ends"),
        pytest.param(
            processing(lease_until=NOW_MS + 1_000, attempts=3), 1.0, id="the last attempt may yet succeed"
        ),
        pytest.param(DELETING, 60.0, id="until the deletion is through"),
        pytest.param(record(status=Status.DELETING, deadline=NOW_MS - 5_000), 60.0, id="until the sweep comes"),
    ],
)
def test_an_event_about_an_image_with_a_live_lease_is_retried_later(record_then: Record, seconds: float) -> None:
    with pytest.raises(Busy) as busy:
        event(record_then, stored())
    assert busy.value.retry_after_seconds == seconds


UNREADABLE = stored("v2", is_readable=False)


@pytest.mark.parametrize("record_then", [None, RESERVED, PENDING, NEVER_ARRIVED, SUCCESS, FAILED, processing()])
def test_an_object_that_cannot_be_read_fails_at_once_for_every_trigger(record_then: Record | None) -> None:
    assert event(record_then, UNREADABLE) is Decision.UNREADABLE
    assert letter(record_then, UNREADABLE, etag=None) is Decision.UNREADABLE
    if record_then is not None and record_then.status not in (Status.SUCCESS, Status.FAILED):
        assert sweep(record_then, UNREADABLE) is Decision.UNREADABLE


def test_an_object_that_cannot_be_read_fails_once_and_can_be_deleted() -> None:
    failed = record(status=Status.FAILED, version="v2", finished_version="v2", finished_generation=1)
    assert event(failed, UNREADABLE) is Decision.NOTHING
    assert sweep(DELETING, UNREADABLE) is Decision.NOTHING
    assert sweep(record(status=Status.DELETING, version="v2"), UNREADABLE) is Decision.DELETE
    with pytest.raises(Busy):
        event(DELETING, UNREADABLE)


def letter(
    record_then: Record | None,
    object_now: StoredObject | None,
    *,
    etag: str | None = "etag-of-v1",
    sent_ms: int = NOW_MS + 10,
) -> Decision:
    return decide_dead_letter(
        record_then,
        object_now,
        letter_etag=etag,
        sent_ms=sent_ms,
        now_ms=NOW_MS,
        max_attempts=MAX_ATTEMPTS,
    )


@pytest.mark.parametrize(
    ("record_then", "object_now", "decision"),
    [
        pytest.param(None, None, Decision.NOTHING, id="neither record nor object"),
        pytest.param(PENDING, None, Decision.NOTHING, id="never arrived"),
        pytest.param(SUCCESS, None, Decision.DELETE, id="the object is gone"),
        pytest.param(DELETING, None, Decision.DELETE, id="a deletion to carry on"),
        pytest.param(SUCCESS, stored(), Decision.NOTHING, id="finished meanwhile"),
        pytest.param(FAILED, stored(), Decision.NOTHING, id="failed meanwhile"),
        pytest.param(None, stored(), Decision.GIVE_UP, id="no record yet, so that nothing vanishes unseen"),
        pytest.param(PENDING, stored(), Decision.GIVE_UP, id="never claimed"),
        pytest.param(RESERVED, stored(), Decision.GIVE_UP, id="a reservation that arrived"),
        pytest.param(REPROCESSED, stored(), Decision.GIVE_UP, id="the message of the reprocess itself"),
        pytest.param(processing(attempts=2), stored(), Decision.NOTHING, id="processing with attempts left"),
        pytest.param(processing(attempts=3), stored(), Decision.GIVE_UP, id="processing, attempts used up"),
    ],
)
def test_a_dead_letter(record_then: Record | None, object_now: StoredObject | None, decision: Decision) -> None:
    assert letter(record_then, object_now) is decision


@pytest.mark.parametrize("record_then", [None, PENDING, processing(attempts=3)])
def test_a_dead_letter_about_a_version_other_than_the_buckets_is_dropped(record_then: Record | None) -> None:
    assert letter(record_then, stored("v2"), etag="etag-of-v1") is Decision.NOTHING
    assert letter(record_then, stored("v2"), etag="etag-of-v2") is Decision.GIVE_UP


def test_a_dead_letter_without_a_version_is_about_the_current_object() -> None:
    assert letter(PENDING, stored(), etag=None) is Decision.GIVE_UP


@pytest.mark.parametrize("record_then", [None, RESERVED])
def test_a_dead_letter_sent_before_the_file_arrived_does_not_fail_it(record_then: Record | None) -> None:
    """The letter is about a removal, or about a reprocess of a reservation.

    Neither has a version, and the file has its own event.
    """
    assert letter(record_then, stored(), etag=None) is Decision.NOTHING
    assert letter(record_then, stored()) is Decision.GIVE_UP


def test_a_dead_letter_from_before_the_reprocess_is_dropped() -> None:
    reprocessed = record(status=Status.PENDING, generation=2, version="v1", requested_ms=NOW_MS)
    assert letter(reprocessed, stored(), sent_ms=NOW_MS - 1) is Decision.NOTHING
    assert letter(reprocessed, stored(), sent_ms=NOW_MS) is Decision.GIVE_UP


def test_the_message_of_a_direct_drop_counts_although_it_is_older_than_its_record() -> None:
    # The first claim creates the record of a direct drop, after the message was sent.
    used_up = processing(attempts=3, generation=1, requested_ms=NOW_MS, source="bucket")
    assert letter(used_up, stored(), sent_ms=NOW_MS - 500) is Decision.GIVE_UP


@pytest.mark.parametrize("record_then", [processing(lease_until=ALIVE, attempts=3), DELETING])
def test_a_dead_letter_about_an_image_with_a_live_lease_stays(record_then: Record) -> None:
    with pytest.raises(Busy):
        letter(record_then, stored())


def sweep(record_then: Record, object_now: StoredObject | None) -> Decision:
    return decide_deadline(record_then, object_now, now_ms=NOW_MS, max_attempts=MAX_ATTEMPTS)


@pytest.mark.parametrize(
    ("record_then", "absent", "present"),
    [
        pytest.param(PENDING, Decision.NEVER_ARRIVED, Decision.REQUEUE, id="pending"),
        pytest.param(REPROCESSED, Decision.DELETE, Decision.REQUEUE, id="pending with a version"),
        pytest.param(processing(attempts=2), Decision.DELETE, Decision.REQUEUE, id="processing"),
        pytest.param(processing(attempts=3), Decision.DELETE, Decision.GIVE_UP, id="processing, used up"),
        pytest.param(RESERVED, Decision.PURGE, Decision.REQUEUE, id="reserved"),
        pytest.param(record(status=Status.DELETING, version="v1"), Decision.DELETE, Decision.DELETE, id="deleting"),
        pytest.param(SUCCESS, Decision.NOTHING, Decision.NOTHING, id="success"),
        pytest.param(FAILED, Decision.NOTHING, Decision.NOTHING, id="failed"),
    ],
)
def test_the_sweep(record_then: Record, absent: Decision, present: Decision) -> None:
    assert sweep(record_then, None) is absent
    assert sweep(record_then, stored()) is present


def test_the_sweep_requeues_a_version_without_attempts() -> None:
    assert sweep(processing(attempts=3), stored("v2")) is Decision.REQUEUE


@pytest.mark.parametrize("status", Status)
def test_the_sweep_skips_images_before_their_deadline(status: Status) -> None:
    waiting = record(status=status, deadline=NOW_MS + 1)
    assert sweep(waiting, None) is Decision.NOTHING
    assert sweep(waiting, stored()) is Decision.NOTHING


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING, Status.RESERVED])
def test_the_sweep_fails_an_image_after_eight_messages(status: Status) -> None:
    assert MAX_POSTPONES == 8
    assert sweep(record(status=status, postponed=7), stored()) is Decision.REQUEUE
    assert sweep(record(status=status, postponed=8), stored()) is Decision.GIVE_UP
