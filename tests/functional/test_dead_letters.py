"""Dead letters: a message that was received too often fails its image.

It does not if another worker or the sweep still handles the image.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_core.model import Record, Status
from image_core.stores.queue import ObjectEvent, notification_of
from image_processor.handler import Processor
from image_recovery.handler import handle
from tests import pictures
from tests.events import Event, load
from tests.functional.captioners import Failing, FakeCaptioner
from tests.functional.emulator import Killed, Stack, preceded_by, raising
from tests.functional.images import LEASE_SECONDS, image_in, new_record, stored_image
from tests.functional.s3_events import failed, messages, notification

KEY = "photo.jpg"


def handle_letters(stack: Stack, *bodies: Event | str, sent_ms: int | None = None) -> list[str]:
    """Send dead letters to the recovery function and return the ids of those that stay in their queue."""
    sent = stack.clock.now_ms if sent_ms is None else sent_ms
    event = messages(*bodies, file="sqs_dead_letter.json", SentTimestamp=str(sent))
    context: Any = None
    return failed(handle(event, context, stack.services))


def current_event(stack: Stack, key: str = KEY) -> Event:
    """Build the notification of the object that is in the bucket now."""
    stored = stack.services.storage.head(key)
    return notification(stack, key=key, eTag=stored.etag if stored else "d41d8cd98f00b204e9800998ecf8427e")


def code_of(record: Record) -> str | None:
    return record.error["code"] if record.error else None


def assert_given_up(stack: Stack) -> None:
    assert (stack.the_record().status, code_of(stack.the_record())) == (Status.FAILED, "retries_exhausted")
    assert stack.counts() == {"failed": 1}


def test_a_file_that_no_worker_handled_fails_visibly(stack: Stack) -> None:
    stack.put(KEY)
    assert handle_letters(stack, current_event(stack)) == []
    assert_given_up(stack)
    record = stack.the_record()
    assert (record.key, record.source, record.original_name) == (KEY, "bucket", KEY)
    assert record.version is not None and record.is_finished_for(record.version)


def test_an_upload_that_was_never_claimed_fails(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    assert handle_letters(stack, current_event(stack, record.key)) == []
    assert_given_up(stack)


def test_an_object_removed_while_its_image_is_failed_deletes_the_image(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    # The event of this removal finds a record without a version and changes nothing.
    stack.dynamodb.plan("transact_write_items", preceded_by(lambda: stack.remove(record.key)))
    assert handle_letters(stack, current_event(stack, record.key)) == []
    assert stack.every() == []
    assert stack.counts() == {}


@pytest.mark.parametrize("source", ["dropped", "uploaded"])
def test_an_image_whose_workers_were_all_killed_fails_and_keeps_its_thumbnails(stack: Stack, source: str) -> None:
    key = KEY if source == "dropped" else stack.records.create(new_record(stack.records)).key
    stack.clock.advance(1)
    stack.put(key, pictures.jpeg())
    sent_ms = stack.clock.now_ms
    process = Processor(stack.services, lambda _: Failing(Killed()))
    for _ in range(stack.settings.max_attempts):
        stack.clock.advance(31)
        with pytest.raises(Killed):
            process(messages(current_event(stack, key)))
    stack.clock.advance(31)
    assert handle_letters(stack, current_event(stack, key), sent_ms=sent_ms) == []
    assert_given_up(stack)
    thumbnails = stack.the_record().thumbnails
    assert thumbnails is not None
    assert stack.thumbnails() == {info.key for info in thumbnails.sizes.values()}


def test_an_image_with_attempts_left_is_left_to_another_message_or_the_sweep(stack: Stack) -> None:
    record = stored_image(stack, Status.PROCESSING)
    stack.clock.advance(31)
    assert handle_letters(stack, current_event(stack, record.key)) == []
    assert stack.every() == [record]


def test_a_letter_about_an_image_with_a_live_lease_stays_in_its_queue(stack: Stack) -> None:
    record = stored_image(stack, Status.PROCESSING)
    assert handle_letters(stack, current_event(stack, record.key)) == ["message-0"]
    assert stack.every() == [record]


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILED])
def test_a_letter_about_a_finished_image_is_dropped(stack: Stack, status: Status) -> None:
    record = stored_image(stack, status)
    assert handle_letters(stack, current_event(stack, record.key)) == []
    assert stack.every() == [record]


def test_a_letter_about_a_version_other_than_the_buckets_is_dropped(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING, b"old")
    old = current_event(stack, record.key)
    stack.put(record.key, b"new")
    assert handle_letters(stack, old) == []
    assert stack.every() == [record]


def test_a_letter_from_before_the_reprocess_is_dropped(stack: Stack) -> None:
    record = stored_image(stack, Status.FAILED)
    sent_ms = stack.clock.now_ms
    stack.clock.advance(60)
    reprocessed = stack.records.reprocess(record, pending_seconds=30)
    assert handle_letters(stack, current_event(stack, record.key), sent_ms=sent_ms) == []
    assert stack.every() == [reprocessed]


def test_the_letter_of_a_reprocess_fails_the_image(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS)
    stack.records.reprocess(record, pending_seconds=30)
    stack.clock.advance(60)
    assert handle_letters(stack, notification_of(ObjectEvent(stack.uploads_bucket, record.key))) == []
    assert_given_up(stack)
    assert stack.the_record().thumbnails == record.thumbnails


def test_a_letter_about_a_removed_file_creates_no_record(stack: Stack) -> None:
    assert handle_letters(stack, current_event(stack)) == []
    assert stack.every() == []


def test_a_letter_about_an_image_whose_file_was_removed_deletes_the_image(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS)
    stack.remove(record.key)
    assert handle_letters(stack, notification(stack, "s3_delete_marker.json", record.key)) == []
    assert (stack.every(), stack.thumbnails(), stack.counts()) == ([], set(), {})


def test_a_letter_about_an_upload_that_has_not_arrived_is_left_to_the_sweep(stack: Stack) -> None:
    record = image_in(stack.records, Status.PENDING)
    assert handle_letters(stack, current_event(stack, record.key)) == []
    assert stack.every() == [record]


def test_a_letter_about_an_image_being_deleted_continues_the_deletion_or_waits(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS)
    stack.records.mark_deleting(record, deadline_seconds=30)
    assert handle_letters(stack, current_event(stack, record.key)) == ["message-0"]
    stack.remove(record.key)
    assert handle_letters(stack, current_event(stack, record.key)) == []
    assert stack.every() == []


def test_a_letter_about_a_folder_marker_or_another_bucket_is_dropped(stack: Stack) -> None:
    stack.put("some folder/", b"")
    stack.put(KEY)
    assert handle_letters(stack, notification(stack, "s3_put_folder_marker.json"), load("s3_put.json")) == []
    assert stack.every() == []


def test_a_letter_without_an_image_is_dropped_and_the_next_one_is_handled(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    stack.put(KEY)
    garbage: list[Event | str] = ["garbage", "", "[]", json.dumps({"Records": [{}]}), load("s3_test_event.json")]
    assert handle_letters(stack, *garbage, current_event(stack)) == []
    assert_given_up(stack)
    assert "dropped" in caplog.text


def test_a_letter_that_cannot_be_handled_now_stays_and_the_next_one_is_handled(stack: Stack) -> None:
    stack.put("first.jpg")
    stack.put("second.jpg")
    bodies = [current_event(stack, "first.jpg"), current_event(stack, "second.jpg")]
    stack.s3.plan("head_object", raising(OSError("connection reset")))
    assert handle_letters(stack, *bodies) == ["message-0"]
    assert stack.the_record().key == "second.jpg"


def test_an_image_that_a_worker_claims_at_that_moment_is_left_to_the_worker(stack: Stack) -> None:
    record = stored_image(stack, Status.PENDING)
    stored = stack.services.storage.head(record.key)
    assert stored is not None
    stack.dynamodb.plan(
        "transact_write_items",
        preceded_by(lambda: stack.other_records().claim(record, stored, lease_seconds=LEASE_SECONDS)),
    )
    assert handle_letters(stack, current_event(stack, record.key)) == ["message-0"]
    assert stack.the_record().status is Status.PROCESSING


def test_an_image_that_failed_by_a_dead_letter_can_be_reprocessed(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    handle_letters(stack, current_event(stack))
    stack.clock.advance(10)
    stack.records.reprocess(stack.the_record(), pending_seconds=30)
    Processor(stack.services, lambda _: FakeCaptioner())(messages(current_event(stack)))
    assert stack.the_record().status is Status.SUCCESS
