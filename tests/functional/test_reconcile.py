"""Reconciliation: each kind of difference is created, found and repaired. Correct images stay unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from image_core.errors import RetriesExhausted, UploadIncomplete
from image_core.keys import derived_image_id, new_image_id, thumbnail_key
from image_core.model import Record, Status
from image_processor.handler import Processor
from ops.differences import Kind
from ops.reconcile import Plan, TooManyErrors, new_report, reconcile
from ops.report import Report
from tests import pictures
from tests.functional.captioners import FakeCaptioner
from tests.functional.emulator import Stack, followed_by, preceded_by, raising
from tests.functional.images import (
    LEASE_SECONDS,
    image_in,
    new_record,
    stored_image,
    stored_object,
)
from tests.functional.s3_events import messages, notification

OLD = 3_600
LONG_AGO = Plan(min_age_seconds=0)
REPAIRING = Plan(apply=True, min_age_seconds=0)
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "HeadObject")


def run(stack: Stack, plan: Plan = LONG_AGO, **more: Any) -> Report:
    """Reconcile a stack whose stream function keeps up with all changes."""

    def sleep(seconds: float) -> None:
        stack.clock.sleep(seconds)
        stack.update_search_index()

    stack.update_search_index()
    return reconcile(stack.services, plan, sleep=sleep, **more)


def found(report: Report) -> dict[str, int]:
    return {kind.value: count for kind, count in report.found.items()}


def everything(stack: Stack) -> Any:
    """Return everything that a stack stores."""
    queued = stack._plain.sqs.get_queue_attributes(
        QueueUrl=stack.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    records = sorted(stack.every(), key=lambda record: record.image_id)
    return records, stack.originals(), stack.thumbnails(), stack.other_records().counters(), queued


def process_the_queue(stack: Stack) -> None:
    process = Processor(stack.services, lambda _: FakeCaptioner())
    while bodies := [message["Body"] for message in stack.messages()]:
        for body in bodies:
            process(messages(body))


def processed(stack: Stack, key: str = "photo.jpg") -> Record:
    """Return an image after processing."""
    stack.put(key, pictures.jpeg())
    Processor(stack.services, lambda _: FakeCaptioner())(messages(notification(stack, key=key)))
    record = stack.records.get(derived_image_id(stack.uploads_bucket, key))
    assert record is not None and record.status is Status.SUCCESS
    return record


# The ways in which a stack can be inconsistent. Each function causes one and returns the kind that must be found.


def dropped_without_an_event(stack: Stack) -> Kind:
    stack.put("some folder/my photo+1 é.jpg", pictures.jpeg())
    return Kind.NO_RECORD


def uploaded_without_its_record(stack: Stack) -> Kind:
    stack.put(f"uploads/{new_image_id()}/photo.jpg", pictures.jpeg())
    return Kind.NO_RECORD


def dropped_under_another_images_id_without_an_event(stack: Stack) -> Kind:
    existing = stored_image(stack, Status.SUCCESS)
    stack.put(f"uploads/{existing.image_id}/another name.jpg", pictures.jpeg())
    return Kind.NO_RECORD


def removed_without_an_event(stack: Stack) -> Kind:
    stack.remove(processed(stack).key)
    return Kind.NO_ORIGINAL


def overwritten_without_an_event(stack: Stack) -> Kind:
    stack.put(processed(stack).key, pictures.jpeg(200, 300))
    return Kind.OUTDATED


def overwritten_with_the_same_bytes_without_an_event(stack: Stack) -> Kind:
    stack.put(processed(stack).key, pictures.jpeg())
    return Kind.OUTDATED


def arrived_without_an_event_after_it_failed(stack: Stack) -> Kind:
    record = stack.records.create(new_record(stack.records))
    stack.records.give_up(record, None, UploadIncomplete())
    stack.put(record.key, pictures.jpeg())
    return Kind.OUTDATED


def thumbnail_removed(stack: Stack) -> Kind:
    thumbnails = processed(stack).thumbnails
    assert thumbnails is not None
    stack.services.storage.delete_thumbnails([thumbnails.sizes["small"].key])
    return Kind.NO_THUMBNAILS


def thumbnails_of_a_failed_caption_removed(stack: Stack) -> Kind:
    record = stored_image(stack, Status.FAILED, pictures.jpeg())
    assert record.thumbnails is not None
    stack.services.storage.delete_thumbnails(info.key for info in record.thumbnails.sizes.values())
    return Kind.NO_THUMBNAILS


def thumbnails_of_an_attempt_that_died(stack: Stack) -> Kind:
    record = processed(stack)
    stack.services.storage.put_thumbnail(
        thumbnail_key(record.image_id, "0" * 16, "small", b""), b"left behind", content_type="image/jpeg"
    )
    return Kind.ORPHANS


def thumbnails_of_an_image_that_is_gone(stack: Stack) -> Kind:
    stack.services.storage.put_thumbnail(
        thumbnail_key(new_image_id(), "0" * 16, "small", b""), b"left behind", content_type="image/jpeg"
    )
    return Kind.ORPHANS


def stuck_without_a_sweep(stack: Stack) -> Kind:
    stored_image(stack, Status.PENDING, pictures.jpeg())
    stack.clock.advance(OLD)
    return Kind.STUCK


def stuck_in_deletion(stack: Stack) -> Kind:
    record = stored_image(stack, Status.SUCCESS)
    stack.records.mark_deleting(record, deadline_seconds=30)
    stack.clock.advance(OLD)
    return Kind.STUCK


def wrong_counters(stack: Stack) -> Kind:
    processed(stack)
    astray = stack.other_records()
    astray.correct({"success": 3, "failed": -1, "processing_ms_total": 1_000}, astray.counters())
    return Kind.COUNTERS


DAMAGE = [
    dropped_without_an_event,
    uploaded_without_its_record,
    dropped_under_another_images_id_without_an_event,
    removed_without_an_event,
    overwritten_without_an_event,
    overwritten_with_the_same_bytes_without_an_event,
    arrived_without_an_event_after_it_failed,
    thumbnail_removed,
    thumbnails_of_a_failed_caption_removed,
    thumbnails_of_an_attempt_that_died,
    thumbnails_of_an_image_that_is_gone,
    stuck_without_a_sweep,
    stuck_in_deletion,
    wrong_counters,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_dry_run_finds_the_difference_and_changes_nothing(stack: Stack, damage: Callable[[Stack], Kind]) -> None:
    kind = damage(stack)
    before = everything(stack)
    report = run(stack)
    assert found(report) == {kind: 1}
    assert (report.is_clean, report.is_complete, report.left) == (False, True, 1)
    assert everything(stack) == before
    if kind is Kind.COUNTERS:
        run(stack, REPAIRING)  # or the fixture would find wrong counters


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_difference_is_repaired_and_a_second_run_finds_nothing(
    stack: Stack, damage: Callable[[Stack], Kind]
) -> None:
    kind = damage(stack)
    report = run(stack, REPAIRING)
    assert found(report) == {kind: 1}
    assert (report.repaired[kind], report.left, report.is_complete) == (1, 0, True)
    process_the_queue(stack)
    assert {record.status for record in stack.every()} <= {Status.SUCCESS}
    assert run(stack).is_clean


def test_all_differences_together_are_found_and_repaired_by_concurrent_calls(stack: Stack) -> None:
    wanted: dict[str, int] = {}
    for number, damage in enumerate(DAMAGE):
        if damage is wrong_counters:
            continue  # `processed` would create the same image twice
        if damage(stack) is Kind.NO_RECORD:
            wanted[Kind.NO_RECORD] = wanted.get(Kind.NO_RECORD, 0) + 1
        assert number < len(DAMAGE)
    report = run(stack, Plan(apply=True, min_age_seconds=0, workers=8))
    assert report.found[Kind.NO_RECORD] == wanted[Kind.NO_RECORD]
    assert report.left == 0
    process_the_queue(stack)
    run(stack, REPAIRING)
    process_the_queue(stack)
    assert run(stack, Plan(min_age_seconds=0, workers=8)).is_clean


# Correct stacks


def test_a_consistent_stack_is_clean_whatever_the_status_of_its_images(stack: Stack) -> None:
    processed(stack)
    for status in (Status.PENDING, Status.PROCESSING, Status.SUCCESS, Status.FAILED):
        stored_image(stack, status, pictures.jpeg())
    for status in (Status.RESERVED, Status.DELETING):
        image_in(stack.records, status)
    never_arrived = stack.records.create(new_record(stack.records))
    stack.records.give_up(never_arrived, None, UploadIncomplete())
    stack.put("a folder/", b"")
    before = everything(stack)
    report = run(stack, REPAIRING)
    assert (found(report), report.is_clean, report.counters) == ({}, True, "equal")
    assert report.examined == {"originals": 6, "records": 8, "thumbnails": 9, "search entries": 18}
    assert everything(stack) == before


def test_an_empty_stack_is_clean(stack: Stack) -> None:
    assert run(stack).is_clean


def test_a_new_file_is_left_to_its_event(stack: Stack) -> None:
    record = processed(stack)
    stack.clock.now_ms = stack.services.storage.head(record.key).modified_ms  # type: ignore[union-attr]
    stack.put("new.jpg", pictures.jpeg())
    stack.put(record.key, pictures.jpeg(200, 300))
    assert run(stack, Plan()).is_clean
    stack.clock.advance(stack.settings.pending_timeout_seconds + 2)
    assert found(run(stack, Plan())) == {Kind.NO_RECORD: 1, Kind.OUTDATED: 1}


@pytest.mark.parametrize("lease_is_over", [False, True])
def test_the_thumbnails_of_the_current_attempt_are_not_orphans_before_they_are_saved(
    stack: Stack, lease_is_over: bool
) -> None:
    created = stack.records.create(new_record(stack.records))
    stack.put(created.key)
    stored = stack.services.storage.head(created.key)
    assert stored is not None
    claimed = stack.records.claim(created, stored, lease_seconds=LEASE_SECONDS)
    key = thumbnail_key(claimed.image_id, str(claimed.attempt), "small", b"")
    stack.services.storage.put_thumbnail(key, b"x", content_type="image/jpeg")
    if lease_is_over:
        stack.clock.advance(LEASE_SECONDS + 1)
    assert run(stack, REPAIRING).is_clean
    assert stack.thumbnails() == {key}


def test_foreign_objects_in_the_thumbnails_bucket_are_left_alone(stack: Stack) -> None:
    stack.services.storage.put_thumbnail("readme.txt", b"not ours", content_type="text/plain")
    assert run(stack, REPAIRING).is_clean
    assert stack.thumbnails() == {"readme.txt"}


# Changes during a run


def test_a_difference_that_disappears_is_not_reported(stack: Stack) -> None:
    record = processed(stack)
    stack.put(record.key, pictures.jpeg(200, 300))

    def process_its_event() -> None:
        Processor(stack.services, lambda _: FakeCaptioner())(messages(notification(stack, key=record.key)))

    stack.clock.sleep = lambda seconds: process_its_event()  # type: ignore[method-assign]
    assert run(stack).is_clean


def test_an_image_that_changes_before_its_repair_is_skipped(stack: Stack) -> None:
    thumbnail_removed(stack)
    record = stack.the_record()

    def reprocessed() -> None:
        stack.clock.advance(1)
        stack.other_records().reprocess(stack.the_record(), pending_seconds=30)

    stack.dynamodb.plan("transact_write_items", preceded_by(reprocessed))
    report = run(stack, REPAIRING)
    assert (report.moved_on, report.left) == ({Kind.NO_THUMBNAILS: 1}, 0)
    assert stack.the_record().generation == record.generation + 1


def test_a_record_is_kept_if_its_original_reappears_before_the_deletion(stack: Stack) -> None:
    removed_without_an_event(stack)
    key = stack.the_record().key
    first, again = (lambda call, arguments: call(**arguments) for _ in range(2))
    stack.s3.plan("head_object", first, again, preceded_by(lambda: stack.put(key, pictures.jpeg(200, 300))))
    report = run(stack, REPAIRING)
    assert report.moved_on == {Kind.NO_ORIGINAL: 1}
    assert (stack.the_record().status, stack.originals()) == (Status.SUCCESS, {key})


# Counters


def moving(stack: Stack, record: Record) -> Callable[[], None]:
    """Return a function that moves an image from one status to another with each call."""

    def move() -> None:
        now = stack.other_records().get(record.image_id)
        assert now is not None
        if now.status is Status.PENDING:
            stack.other_records().claim(now, stored_object(now), lease_seconds=LEASE_SECONDS)
        else:
            stack.other_records().reprocess(now, pending_seconds=30)

    return move


def test_counters_that_move_during_the_count_are_counted_again(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS)
    wrong_counters(stack)
    stack.dynamodb.plan("scan", *[followed_by(moving(stack, record))] * 2)
    report = run(stack, REPAIRING)
    assert (report.counters, report.repaired[Kind.COUNTERS]) == ("different", 1)
    stack.assert_counters_equal_a_recount()


def test_counters_that_never_stop_changing_are_not_corrected(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS)
    before = stack.other_records().counters()
    stack.dynamodb.plan("scan", *[followed_by(moving(stack, record))] * 5)
    report = run(stack, REPAIRING)
    assert "cannot be compared: 1 transitions" in report.counters
    assert (found(report), report.is_complete, report.is_clean) == ({}, False, False)
    assert stack.other_records().counters().corrections == before.corrections


def test_counters_that_differ_by_more_than_the_changes_are_reported(stack: Stack) -> None:
    record = stored_image(stack, Status.SUCCESS)
    wrong_counters(stack)
    stack.dynamodb.plan("scan", *[followed_by(moving(stack, record))] * 5)
    report = run(stack, REPAIRING)
    assert (found(report), report.left) == ({Kind.COUNTERS: 1}, 1)
    run(stack, REPAIRING)


def test_a_correction_stays_exact_if_counters_change_after_the_count(stack: Stack) -> None:
    wrong_counters(stack)
    stack.dynamodb.plan("update_item", preceded_by(moving(stack, stack.the_record())))
    assert run(stack, REPAIRING).repaired[Kind.COUNTERS] == 1
    stack.assert_counters_equal_a_recount()


@pytest.mark.parametrize("times", [1, 2])
def test_two_runs_that_correct_the_same_counters_correct_them_once(stack: Stack, times: int) -> None:
    wrong_counters(stack)
    for _ in range(times - 1):
        run(stack, REPAIRING)
        astray = stack.other_records()
        astray.correct({"success": 2}, astray.counters())

    def another_run() -> None:
        assert reconcile(stack.other_services(), REPAIRING, sleep=stack.clock.sleep).repaired[Kind.COUNTERS] == 1

    stack.dynamodb.plan("update_item", preceded_by(another_run))
    report = run(stack, REPAIRING)
    assert report.moved_on == {Kind.COUNTERS: 1}
    stack.assert_counters_equal_a_recount()


# Importing a bucket


def test_a_bucket_is_imported_at_the_requested_rate(stack: Stack) -> None:
    for number in range(11):
        stack.put(f"{number}.jpg", pictures.jpeg())
    began_ms = stack.clock.now_ms
    report = run(stack, Plan(apply=True, min_age_seconds=0, rate=2))
    assert report.repaired == {Kind.NO_RECORD: 11}
    assert stack.clock.now_ms - began_ms == 5_000
    process_the_queue(stack)
    assert stack.counts() == {"success": 11}


def test_an_interrupted_import_resumes_and_loses_nothing(stack: Stack) -> None:
    keys = [f"{number:04}.jpg" for number in range(25)]
    for key in keys:
        stack.put(key, pictures.jpeg())
    _list_in_pages_of(stack, 10)
    done: list[str] = []
    sends = [lambda call, arguments: call(**arguments)] * 14
    stack.sqs.plan("send_message", *sends, _interrupted)
    report = new_report(stack.services, REPAIRING)
    with pytest.raises(KeyboardInterrupt):
        run(stack, REPAIRING, checkpoint=done.append, report=report)
    assert (done[-1], report.repaired) == ("0013.jpg", {Kind.NO_RECORD: 14})
    rest = run(stack, Plan(apply=True, min_age_seconds=0, start_after=done[-1]), checkpoint=done.append)
    assert (done[-1], rest.repaired) == ("0024.jpg", {Kind.NO_RECORD: 11})
    process_the_queue(stack)
    assert {record.key for record in stack.every()} == set(keys)


def _interrupted(_: object, __: object) -> None:
    raise KeyboardInterrupt


def _list_in_pages_of(stack: Stack, size: int) -> None:
    """Make listings return pages of this size from now on."""
    get_paginator = stack._plain.s3.get_paginator

    class Paged:
        def __init__(self, name: str) -> None:
            self._paginator = get_paginator(name)

        def paginate(self, **arguments: Any) -> Any:
            return self._paginator.paginate(PaginationConfig={"PageSize": size}, **arguments)

    stack.s3.get_paginator = Paged


# Errors


def test_an_image_that_cannot_be_checked_does_not_block_the_others(stack: Stack) -> None:
    removed_without_an_event(stack)
    stored_image(stack, Status.SUCCESS)
    stack.s3.plan("head_object", raising(OSError("connection reset")))
    report = run(stack)
    assert (report.errors, report.is_complete) == (1, False)
    assert "connection reset" in report.error_samples[0]
    assert report.found.total() <= 1


def test_an_error_that_needs_an_operator_ends_the_run_at_once(stack: Stack) -> None:
    for _ in range(3):
        stored_image(stack, Status.SUCCESS)
    stack.s3.plan("head_object", raising(DENIED))
    with pytest.raises(ClientError):
        run(stack)


def test_a_run_in_which_every_check_fails_ends(stack: Stack) -> None:
    for _ in range(120):
        failed = stack.records.create(new_record(stack.records))
        stack.records.give_up(failed, None, RetriesExhausted())
    stack.s3.plan("head_object", *[raising(OSError("connection reset"))] * 200)
    with pytest.raises(TooManyErrors):
        run(stack)


def test_a_failed_repair_is_left_and_reported(stack: Stack) -> None:
    dropped_without_an_event(stack)
    stack.sqs.plan("send_message", raising(OSError("connection reset")))
    report = run(stack, REPAIRING)
    assert (report.left, report.errors, report.is_complete) == (1, 1, False)


def test_the_report_is_plain_json_and_contains_every_kind(stack: Stack) -> None:
    dropped_without_an_event(stack)
    document = json.loads(json.dumps(run(stack).as_json()))
    assert set(document["differences"]) == {kind.value for kind in Kind}
    (sample,) = document["differences"]["image_without_record"]["samples"]
    assert sample["keys"] == ["some folder/my photo+1 é.jpg"]
    assert (document["clean"], document["apply"], document["counters"]["state"]) == (False, False, "equal")
