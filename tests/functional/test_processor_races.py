"""Duplicate, late and reordered events; workers that die or return late; files that change during processing."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor

import pytest
from PIL import ImageOps

from image_core.errors import Busy, Superseded
from image_core.keys import derived_image_id
from image_core.lifecycle.delete import delete
from image_core.model import Record, Status
from image_core.stores.queue import ObjectEvent, notification_of
from image_processor.handler import Processor
from tests import pictures
from tests.functional.captioners import FakeCaptioner, ImmediateExecutor, LazyExecutor
from tests.functional.emulator import Killed, Stack, done, followed_by, killed, preceded_by, repeated
from tests.functional.images import image_in
from tests.functional.s3_events import failed, messages, notification

KEY = "photo.jpg"
OTHER = pictures.encode(ImageOps.flip(pictures.scene(200, 300)), "JPEG")
"""A second version, whose upper left corner is blue."""


def process_event(
    stack: Stack, captioner: FakeCaptioner | None = None, *, executor: Executor | None = None, key: str = KEY
) -> None:
    """Process one event about the key with a new worker. Raises what the worker raises."""
    worker = Processor(stack.services, lambda _: captioner or FakeCaptioner(), executor or ImmediateExecutor())
    try:
        worker(notification_of(ObjectEvent(stack.uploads_bucket, key)))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


def thumbnails_of(record: Record) -> set[str]:
    """Return the keys of the thumbnails in the record."""
    assert record.thumbnails is not None
    return {info.key for info in record.thumbnails.sizes.values()}


def assert_no_other_thumbnails(stack: Stack) -> None:
    assert stack.thumbnails() == thumbnails_of(stack.the_record())


# Duplicates


def test_a_duplicate_event_changes_nothing(stack: Stack) -> None:
    captioner = FakeCaptioner()
    process = Processor(stack.services, lambda _: captioner)
    stack.put(KEY, pictures.jpeg())
    process(messages(notification(stack)))
    first = stack.the_record()
    assert failed(process(messages(notification(stack), notification(stack)))) == []
    assert stack.every() == [first]
    assert len(captioner.pictures) == 1


def test_a_duplicate_event_of_a_failed_image_changes_nothing(stack: Stack) -> None:
    stack.put(KEY, pictures.TEXT)
    process_event(stack)
    first = stack.the_record()
    process_event(stack)
    assert stack.every() == [first]
    assert len(stack.s3.arguments("get_object")) == 1


# Overwriting


def test_overwriting_a_key_processes_the_image_again_and_deletes_the_old_thumbnails(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(300, 200))
    process_event(stack)
    first = stack.the_record()
    stack.put(KEY, OTHER)
    process_event(stack)
    second = stack.the_record()
    assert (second.image_id, second.status, second.created_ms) == (first.image_id, Status.SUCCESS, first.created_ms)
    assert second.metadata is not None and (second.metadata["width"], second.metadata["height"]) == (200, 300)
    assert second.caption == "a photo with a blue corner"
    assert not thumbnails_of(first) & stack.thumbnails()
    assert_no_other_thumbnails(stack)
    assert stack.counts() == {"success": 1}


def test_overwriting_with_the_same_bytes_is_a_new_version_with_the_same_caption(stack: Stack) -> None:
    captioner = FakeCaptioner()
    versions = []
    for _ in range(2):
        stack.put(KEY, pictures.jpeg())
        process_event(stack, captioner)
        versions.append(stack.the_record().finished_version)
    assert len(set(versions)) == 2
    assert len(captioner.pictures) == 1


def test_overwriting_a_valid_picture_with_an_invalid_one_leaves_no_old_thumbnails(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.put(KEY, pictures.TEXT)
    process_event(stack)
    record = stack.the_record()
    assert (record.status, record.thumbnails, record.metadata, record.caption) == (Status.FAILED, None, None, None)
    assert stack.thumbnails() == set()


def test_replacing_an_invalid_file_with_a_valid_one_succeeds(stack: Stack) -> None:
    stack.put(KEY, pictures.TEXT)
    process_event(stack)
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    record = stack.the_record()
    assert (record.status, record.error) == (Status.SUCCESS, None)
    assert stack.counts() == {"success": 1}


def test_a_file_that_is_overwritten_while_it_is_captioned_ends_as_its_new_version(stack: Stack) -> None:
    def overwrite_and_process() -> None:
        stack.put(KEY, OTHER)
        process_event(stack)

    stack.put(KEY, pictures.jpeg(300, 200))
    process_event(stack, FakeCaptioner(overwrite_and_process))
    record = stack.the_record()
    assert record.caption == "a photo with a blue corner"
    assert_no_other_thumbnails(stack)
    assert stack.counts() == {"success": 1}


def test_a_file_that_is_overwritten_just_after_it_was_finished_keeps_its_new_thumbnails(stack: Stack) -> None:
    def overwrite_and_process() -> None:
        stack.put(KEY, OTHER)
        process_event(stack)

    stack.put(KEY, pictures.jpeg(300, 200))
    claim, finish = done, followed_by(overwrite_and_process)
    stack.dynamodb.plan("transact_write_items", claim, finish)
    process_event(stack)
    assert stack.the_record().caption == "a photo with a blue corner"
    assert_no_other_thumbnails(stack)


@pytest.mark.parametrize("versioned", [True, False])
def test_a_file_that_is_overwritten_before_the_download_is_processed_in_its_new_version(
    make_stack: Callable[..., Stack], versioned: bool
) -> None:
    stack = make_stack(versioned=versioned)
    captioner = FakeCaptioner()
    stack.put(KEY, pictures.jpeg(300, 200))
    stack.s3.plan("get_object", preceded_by(lambda: stack.put(KEY, OTHER)))
    process_event(stack, captioner)
    assert stack.the_record().caption == "a photo with a blue corner"
    assert len(captioner.pictures) == 1
    assert_no_other_thumbnails(stack)
    assert stack.counts() == {"success": 1}


@pytest.mark.parametrize("body", [pictures.jpeg(), b""], ids=["a picture", "an empty file"])
def test_a_file_removed_after_the_head_leaves_no_image(stack: Stack, body: bytes) -> None:
    def remove_and_process() -> None:
        stack.remove(KEY)
        process_event(stack)  # this event comes before the claim, so it finds no record

    stack.put(KEY, body)
    stack.dynamodb.plan("transact_write_items", preceded_by(remove_and_process))
    process_event(stack)
    assert stack.every() == []
    assert stack.thumbnails() == set()
    assert stack.counts() == {}


# Deletion


def test_an_event_after_the_file_was_removed_creates_no_image(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    stack.remove(KEY)
    process_event(stack)
    assert stack.every() == []


def test_a_deletion_in_the_bucket_deletes_record_and_thumbnails(stack: Stack) -> None:
    process = Processor(stack.services, lambda _: FakeCaptioner())
    key = "some folder/my photo+1 é.jpg"
    stack.put(key, pictures.jpeg())
    process(messages(notification(stack, "s3_put_space_plus_e_acute.json")))
    stack.remove(key)
    assert failed(process(messages(notification(stack, "s3_delete_marker.json")))) == []
    assert (stack.every(), stack.thumbnails(), stack.counts()) == ([], set(), {})


def test_a_lifecycle_expiration_or_a_deletion_of_all_versions_deletes_the_image(stack: Stack) -> None:
    process = Processor(stack.services, lambda _: FakeCaptioner())
    stack.put(KEY, pictures.jpeg())
    process(messages(notification(stack)))
    stack.remove(KEY)
    process(messages(notification(stack, "s3_delete.json")))
    assert stack.every() == []


def test_the_deletion_of_an_old_version_changes_nothing(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    before = stack.the_record()
    Processor(stack.services, lambda _: FakeCaptioner())(messages(notification(stack, "s3_delete.json")))
    assert stack.every() == [before]


def test_a_late_duplicate_of_the_creation_does_not_bring_back_a_deleted_image(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.remove(KEY)
    process_event(stack)
    process_event(stack)
    assert (stack.every(), stack.thumbnails()) == ([], set())


def test_a_file_that_is_deleted_while_it_is_captioned_leaves_nothing(stack: Stack) -> None:
    def delete_and_process() -> None:
        stack.remove(KEY)
        process_event(stack)

    stack.put(KEY, pictures.jpeg())
    process_event(stack, FakeCaptioner(delete_and_process))
    assert (stack.every(), stack.thumbnails(), stack.counts()) == ([], set(), {})


def test_an_image_that_is_deleted_while_an_event_reads_its_record_does_not_come_back(stack: Stack) -> None:
    def delete_and_process() -> None:
        stack.remove(KEY)
        process_event(stack)

    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.dynamodb.plan("get_item", preceded_by(delete_and_process))
    process_event(stack)
    assert (stack.every(), stack.thumbnails()) == ([], set())


def test_two_simultaneous_deletions_do_not_affect_the_next_image(stack: Stack) -> None:
    def delete_and_drop_again() -> None:
        process_event(stack)
        stack.put(KEY, pictures.jpeg())
        process_event(stack)

    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.s3.plan("delete_object", followed_by(delete_and_drop_again))
    with pytest.raises(Superseded):
        delete(stack.the_record(), stack.services)
    assert stack.the_record().status is Status.SUCCESS
    assert_no_other_thumbnails(stack)


def test_a_file_dropped_again_after_a_deletion_is_a_new_image_with_the_same_id(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.remove(KEY)
    process_event(stack)
    stack.clock.advance(10)
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    record = stack.the_record()
    assert record.image_id == derived_image_id(stack.uploads_bucket, KEY)
    assert (record.generation, record.created_ms) == (1, stack.clock.now_ms)


def test_a_file_dropped_while_the_previous_image_is_purged_is_requeued(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.remove(KEY)
    stack.dynamodb.plan("delete_item", followed_by(lambda: stack.put(KEY, pictures.jpeg())))
    process_event(stack)
    assert stack.every() == []
    (message,) = stack.messages()
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == KEY


def test_an_upload_whose_event_comes_before_its_object_stays_pending(stack: Stack) -> None:
    record = image_in(stack.records, Status.PENDING)
    process_event(stack, key=record.key)
    assert stack.every() == [record]


def test_a_new_file_under_a_key_that_is_being_deleted_is_handled_later(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    stack.records.mark_deleting(stack.the_record(), deadline_seconds=60)
    process = Processor(stack.services, lambda _: FakeCaptioner())
    assert failed(process(messages(notification(stack)))) == ["message-0"]


# Leases


@pytest.mark.parametrize("passed_seconds", [0, 12.5])
def test_a_message_about_an_image_with_a_live_lease_is_hidden_until_the_lease_ends(
    stack: Stack, passed_seconds: float
) -> None:
    stack.put(KEY, pictures.jpeg())
    stack.s3.plan("get_object", killed)
    with pytest.raises(Killed):
        process_event(stack)
    stack.clock.advance(passed_seconds)
    stack.sqs.plan("change_message_visibility", lambda call, arguments: None)
    process = Processor(stack.services, lambda _: FakeCaptioner())
    response = process(messages(notification(stack)))
    assert failed(response) == ["message-0"]
    assert stack.sqs.arguments("change_message_visibility") == [
        {
            "QueueUrl": stack.queue_url,
            "ReceiptHandle": "receipt-0",
            "VisibilityTimeout": int(30 - passed_seconds) + 1,
        }
    ]


def test_a_hidden_message_cannot_be_received_yet(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    stack.s3.plan("get_object", killed)
    with pytest.raises(Killed):
        process_event(stack)
    stack.services.queue.send(ObjectEvent(stack.uploads_bucket, KEY))
    (message,) = stack.messages()
    event = messages(message["Body"])
    event["Records"][0]["receiptHandle"] = message["ReceiptHandle"]
    assert failed(Processor(stack.services, lambda _: FakeCaptioner())(event)) == ["message-0"]
    assert stack.messages() == []


def test_an_image_whose_worker_died_is_claimed_again_after_the_lease(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    stack.s3.plan("get_object", killed)
    with pytest.raises(Killed):
        process_event(stack)
    stack.clock.advance(29.999)
    with pytest.raises(Busy):
        process_event(stack)
    stack.clock.advance(0.001)
    process_event(stack)
    assert (stack.the_record().status, stack.the_record().attempts) == (Status.SUCCESS, 2)


@pytest.mark.parametrize("executor", [ImmediateExecutor, LazyExecutor], ids=["finish refused", "save refused"])
def test_a_worker_that_returns_after_it_was_replaced_writes_nothing_and_cleans_up(
    stack: Stack, executor: Callable[[], Executor]
) -> None:
    def hang_and_be_replaced() -> None:
        stack.clock.advance(31)
        process_event(stack, FakeCaptioner(lambda: stack.clock.advance(2)))

    stack.put(KEY, pictures.jpeg())
    process_event(stack, FakeCaptioner(hang_and_be_replaced), executor=executor())
    record = stack.the_record()
    assert (record.status, record.attempts, record.processing_ms) == (Status.SUCCESS, 2, 2000)
    assert_no_other_thumbnails(stack)
    assert stack.counts() == {"success": 1}


@pytest.mark.parametrize("executor", [ImmediateExecutor, LazyExecutor], ids=["fail refused", "save refused"])
def test_a_worker_that_fails_after_it_was_replaced_does_not_fail_the_image(
    stack: Stack, executor: Callable[[], Executor]
) -> None:
    def be_replaced_and_fail() -> None:
        stack.clock.advance(31)
        process_event(stack)
        raise RuntimeError("out of luck")

    stack.put(KEY, pictures.jpeg())
    process_event(stack, FakeCaptioner(be_replaced_and_fail), executor=executor())
    assert (stack.the_record().status, stack.the_record().error) == (Status.SUCCESS, None)
    assert_no_other_thumbnails(stack)


def test_a_late_worker_keeps_the_thumbnails_of_the_current_one(stack: Stack) -> None:
    def hang_and_be_replaced() -> None:
        stack.clock.advance(31)
        with pytest.raises(Killed):
            process_event(stack, FakeCaptioner(_die))  # it still holds the image: its lease is live

    stack.put(KEY, pictures.jpeg())
    process_event(stack, FakeCaptioner(hang_and_be_replaced))
    record = stack.the_record()
    assert (record.status, record.attempts) == (Status.PROCESSING, 2)
    assert record.thumbnails is not None and record.thumbnails.attempt != record.attempt  # the late worker's
    assert_no_other_thumbnails(stack)


def _die() -> None:
    raise Killed


def test_used_up_attempts_end_as_retries_exhausted_and_keep_the_thumbnails(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    for _ in range(stack.settings.max_attempts):
        with pytest.raises(Killed):
            process_event(stack, FakeCaptioner(_die))
        stack.clock.advance(31)
    process_event(stack)
    record = stack.the_record()
    assert record.error is not None and record.error["code"] == "retries_exhausted"
    assert (record.status, record.attempts) == (Status.FAILED, 5)
    assert_no_other_thumbnails(stack)
    assert stack.counts() == {"failed": 1}


def test_a_new_version_of_an_image_with_exhausted_retries_is_processed(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    for _ in range(stack.settings.max_attempts):
        with pytest.raises(Killed):
            process_event(stack, FakeCaptioner(_die))
        stack.clock.advance(31)
    stack.put(KEY, pictures.jpeg())
    process_event(stack)
    assert (stack.the_record().status, stack.the_record().attempts) == (Status.SUCCESS, 1)


# Records that change between read and write


def test_an_image_that_is_reprocessed_while_it_is_captioned_is_processed_again(stack: Stack) -> None:
    def reprocessed() -> None:
        stack.other_records().reprocess(stack.the_record(), pending_seconds=30)

    stack.put(KEY, pictures.jpeg())
    process_event(stack, FakeCaptioner(reprocessed))
    assert (stack.the_record().status, stack.the_record().generation) == (Status.PENDING, 2)
    process_event(stack)
    assert stack.the_record().status is Status.SUCCESS
    assert_no_other_thumbnails(stack)


def test_two_simultaneous_workers_process_the_image_once(stack: Stack) -> None:
    captioner = FakeCaptioner()
    stack.put(KEY, pictures.jpeg())
    stack.s3.plan("head_object", followed_by(lambda: process_event(stack, captioner)))
    process_event(stack, captioner)
    assert len(captioner.pictures) == 1
    assert stack.the_record().attempts == 1


def test_a_record_that_never_stops_changing_is_handled_later(stack: Stack) -> None:
    record = image_in(stack.records, Status.PENDING)
    stack.put(record.key, pictures.jpeg())

    def postponed() -> None:
        stack.clock.advance(1)
        stack.other_records().postpone(stack.the_record(), deadline_seconds=1)

    stack.dynamodb.plan("transact_write_items", *[preceded_by(postponed)] * 20)
    with pytest.raises(Busy):
        process_event(stack, key=record.key)


def test_a_finish_whose_reply_was_lost_is_recognized(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg())
    stack.dynamodb.plan("transact_write_items", repeated, repeated)
    process_event(stack)
    assert stack.the_record().status is Status.SUCCESS
    assert_no_other_thumbnails(stack)
    assert stack.counts() == {"success": 1}
