"""Reprocessing and deleting through the API."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from image_core.model import Status
from image_core.stores.queue import parse_message
from image_recovery.handler import sweep
from tests.functional.emulator import Stack, done, preceded_by, raising
from tests.functional.http_api import Api
from tests.functional.images import LEASE_SECONDS, image_in, stored_image, stored_object

LOST = ConnectionClosedError(endpoint_url="https://aws")


# Reprocess


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILED])
def test_reprocessing_starts_a_new_generation_and_keeps_the_results(stack: Stack, api: Api, status: Status) -> None:
    record = stored_image(stack, status)
    before = api.get(f"/api/images/{record.image_id}").json()["data"]
    response = api.post(f"/api/images/{record.image_id}/reprocess")
    body = response.json()
    assert response.status == 202
    assert set(body) == {"image_id", "status", "data", "error"}
    assert (body["image_id"], body["status"], body["error"]) == (record.image_id, "pending", None)
    assert body["data"]["metadata"] == before["metadata"]
    assert body["data"]["thumbnails"] == before["thumbnails"]
    assert body["data"]["stages"] == {"metadata": "pending", "thumbnails": "pending", "caption": "pending"}
    assert api.get(f"/api/images/{record.image_id}/thumbnails/small").status == 200
    assert stack.counts() == {"pending": 1}


def test_reprocessing_puts_the_key_on_the_queue(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS, key="some folder/my photo+1 é.jpg")
    api.post(f"/api/images/{record.image_id}/reprocess")
    (message,) = stack.messages()
    (event,) = parse_message(message["Body"])
    assert (event.bucket, event.key) == (stack.uploads_bucket, "some folder/my photo+1 é.jpg")


def test_reprocessing_is_accepted_if_the_message_cannot_be_sent(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    stack.sqs.plan("send_message", raising(LOST))
    assert api.post(f"/api/images/{record.image_id}/reprocess").status == 202
    assert list(stack.records.overdue(Status.PENDING, stack.clock.now_ms + 30_000)) == [record.image_id]


def test_reprocessing_uses_the_latest_record_if_the_image_changes_meanwhile(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    other = stack.other_records()
    stack.dynamodb.plan(
        "transact_write_items",
        preceded_by(lambda: other.claim(record, stored_object(record, "v2"), lease_seconds=LEASE_SECONDS)),
    )
    assert api.post(f"/api/images/{record.image_id}/reprocess").status == 202
    again = stack.the_record()
    assert (again.status, again.version, again.generation) == (Status.PENDING, "v2", 2)


def test_a_reprocessed_reservation_stays_a_reservation(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.RESERVED)
    response = api.post(f"/api/images/{record.image_id}/reprocess")
    assert (response.status, response.json()["status"]) == (202, "pending")
    assert stack.every() == [record]


# Delete


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILED, Status.PROCESSING])
def test_deleting_removes_original_thumbnails_and_record(stack: Stack, api: Api, status: Status) -> None:
    record = stored_image(stack, status)
    bystander = stored_image(stack, Status.SUCCESS)
    response = api.delete(f"/api/images/{record.image_id}")
    assert (response.status, response.body) == (204, b"")
    assert stack.originals() == {bystander.key}
    assert {key.split("/")[0] for key in stack.thumbnails()} == {bystander.image_id}
    assert stack.every() == [bystander]
    assert stack.counts() == {"success": 1}
    assert api.get(f"/api/images/{record.image_id}").code == "not_found"


def test_deleting_keeps_the_originals_bytes_as_an_old_version(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS, b"precious")
    api.delete(f"/api/images/{record.image_id}")
    versions = stack.s3.list_object_versions(Bucket=stack.uploads_bucket)["Versions"]
    kept = stack.s3.get_object(
        Bucket=stack.uploads_bucket, Key=versions[0]["Key"], VersionId=versions[0]["VersionId"]
    )
    assert kept["Body"].read() == b"precious"


def test_deleting_also_removes_thumbnails_that_are_not_in_the_record(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    stray = f"{record.image_id}/0123456789abcdef/small"
    stack.services.storage.put_thumbnail(stray, b"left by a dead worker", content_type="image/jpeg")
    api.delete(f"/api/images/{record.image_id}")
    assert stack.thumbnails() == set()


def test_an_upload_deleted_before_processing_disappears_at_once_and_its_record_later(
    stack: Stack, api: Api
) -> None:
    record = stored_image(stack, Status.PENDING)
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    assert stack.originals() == set()
    assert api.get(f"/api/images/{record.image_id}").code == "not_found"
    assert stack.counts() == {}
    assert list(stack.records.overdue(Status.DELETING, stack.clock.now_ms + 30_000)) == [record.image_id]


def test_a_second_delete_returns_not_found(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    response = api.delete(f"/api/images/{record.image_id}")
    assert (response.status, response.code) == (404, "not_found")


@pytest.mark.parametrize("operation", ["head_object", "delete_object", "delete_objects", "delete_item"])
def test_the_sweep_removes_what_a_deletion_could_not_remove(stack: Stack, api: Api, operation: str) -> None:
    record = stored_image(stack, Status.SUCCESS)
    client = stack.dynamodb if operation == "delete_item" else stack.s3
    # The first HEAD finds the version to delete.
    client.plan(operation, *([done] if operation == "head_object" else []), raising(LOST))
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    assert stack.the_record().status is Status.DELETING
    assert stack.counts() == {}
    assert list(stack.records.overdue(Status.DELETING, stack.clock.now_ms + 30_000)) == [record.image_id]


def test_a_new_file_under_the_key_of_a_deleted_image_is_kept(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS, b"old", key="photo.jpg")
    stack.s3.plan("delete_object", preceded_by(lambda: stack.put("photo.jpg", b"new")))
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    assert stack.s3.get_object(Bucket=stack.uploads_bucket, Key="photo.jpg")["Body"].read() == b"new"
    assert stack.every() == []
    (message,) = stack.messages()
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == "photo.jpg"


def test_deleting_uses_the_latest_record_if_the_image_changes_meanwhile(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    other = stack.other_records()
    stack.dynamodb.plan("transact_write_items", preceded_by(lambda: other.reprocess(record, pending_seconds=30)))
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    assert stack.every() == []


@pytest.mark.parametrize("call", [Api.delete, lambda api, path: api.post(f"{path}/reprocess")])
def test_an_image_that_never_stops_changing_is_unavailable(stack: Stack, api: Api, call: object) -> None:
    assert callable(call)
    record = stored_image(stack, Status.SUCCESS)

    def change() -> None:
        stack.clock.advance(1)
        stack.other_records().postpone(stack.the_record(), deadline_seconds=1)

    stack.dynamodb.plan("transact_write_items", *[preceded_by(change)] * 10)
    response = call(api, f"/api/images/{record.image_id}")
    assert (response.status, response.code) == (503, "unavailable")


@pytest.mark.parametrize("image_id", ["img_01kb5q3v8n0h2m4x6c8f0a2d4g", "img_short", "é"])
def test_a_missing_image_can_be_neither_deleted_nor_reprocessed(api: Api, image_id: str) -> None:
    for response in (api.delete(f"/api/images/{image_id}"), api.post(f"/api/images/{image_id}/reprocess")):
        assert (response.status, response.code) == (404, "not_found")


def test_an_image_that_is_being_deleted_cannot_be_deleted_or_reprocessed(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.DELETING)
    path = f"/api/images/{record.image_id}"
    assert (api.delete(path).status, api.post(f"{path}/reprocess").status) == (404, 404)
    assert stack.every() == [record]


def test_a_deletion_includes_a_file_in_the_bucket_whose_event_is_unprocessed(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS, b"old", key="photo.jpg")
    stack.put("photo.jpg", b"new")
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    assert stack.originals() == set()
    assert stack.every() == []
    assert stack.messages() == []


def test_a_conflict_in_s3_leaves_the_deletion_to_the_sweep(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    conflict = ClientError({"Error": {"Code": "ConditionalRequestConflict", "Message": ""}}, "DeleteObject")
    stack.s3.plan("delete_object", raising(conflict))
    assert api.delete(f"/api/images/{record.image_id}").status == 204
    assert stack.the_record().status is Status.DELETING
    stack.clock.advance(31)
    sweep(stack.services)
    assert (stack.every(), stack.originals(), stack.thumbnails()) == ([], set(), set())
