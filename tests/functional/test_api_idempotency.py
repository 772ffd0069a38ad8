"""`Idempotency-Key`: a repeated request creates no second image, and completes what the first request could not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from image_core.model import IDEMPOTENCY_KEY_MS, Record, Status
from image_recovery.handler import sweep
from tests import pictures
from tests.events import Event
from tests.functional.emulator import Stack, done, done_but_raising, preceded_by, raising, repeated
from tests.functional.http_api import BASE, Api, Response, request, upload_event
from tests.functional.images import LEASE_SECONDS, METADATA, attempt_thumbnails, outcome

LOST = ConnectionClosedError(endpoint_url="https://aws")
PHOTO = pictures.jpeg()
WANTED = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": len(PHOTO)}


def with_key(event: Event, key: str) -> Event:
    event["headers"]["idempotency-key"] = key
    return event


def post(api: Api, key: str = "k", body: bytes = PHOTO, name: str = "photo.jpg") -> Response:
    return api.send(with_key(upload_event(body, name), key))


def reserve(api: Api, key: str = "k", **wanted: Any) -> Response:
    event = request("http_post_json.json", "/api/uploads", body=json.dumps(WANTED | wanted).encode())
    return api.send(with_key(event, key))


def versions(stack: Stack) -> int:
    return len(stack.s3.list_object_versions(Bucket=stack.uploads_bucket).get("Versions", []))


def claimed(stack: Stack) -> Record:
    record = stack.the_record()
    stored = stack.services.storage.head(record.key)
    assert stored is not None
    return stack.records.claim(record, stored, lease_seconds=LEASE_SECONDS)


# POST /api/images


def test_a_repeated_post_returns_the_same_image_and_stores_it_once(stack: Stack, api: Api) -> None:
    first, second = post(api), post(api)
    assert (first.status, second.status) == (202, 202)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]
    assert stack.counts() == {"pending": 1}
    assert versions(stack) == 1


def test_each_post_without_a_key_creates_an_image(stack: Stack, api: Api) -> None:
    assert api.upload(PHOTO).json()["image_id"] != api.upload(PHOTO).json()["image_id"]


def test_keys_are_independent_of_each_other_and_of_the_call(stack: Stack, api: Api) -> None:
    ids = {response.json()["image_id"] for response in (post(api, "a"), post(api, "b"), reserve(api, "a"))}
    assert len(ids) == 3


def test_a_repeated_post_returns_the_current_state_of_the_image(stack: Stack, api: Api) -> None:
    image_id = post(api).json()["image_id"]
    at_work = claimed(stack)
    saved = stack.records.save(at_work, metadata=METADATA, thumbnails=attempt_thumbnails(at_work))
    stack.records.finish(saved, outcome())
    again = post(api)
    assert (again.status, again.json()["status"], again.json()["image_id"]) == (202, "success", image_id)
    assert again.json()["data"] == api.get(f"/api/images/{image_id}").json()["data"]
    assert versions(stack) == 1


@pytest.mark.parametrize("other", [{"body": pictures.jpeg(10, 10)}, {"name": "another.jpg"}])
def test_the_same_key_with_another_file_is_refused(stack: Stack, api: Api, other: dict[str, Any]) -> None:
    post(api)
    before = stack.the_record()
    response = post(api, **other)
    assert (response.status, response.code) == (409, "idempotency_key_reused")
    assert stack.every() == [before]


def test_a_repeated_post_stores_the_file_if_the_first_one_could_not(stack: Stack, api: Api) -> None:
    stack.s3.plan("put_object", raising(LOST))
    assert post(api).status == 503
    assert stack.the_record().status is Status.FAILED
    again = post(api)
    assert (again.status, again.json()["status"], again.json()["error"]) == (202, "pending", None)
    assert stack.originals() == {stack.the_record().key}
    assert stack.counts() == {"pending": 1}


def leave_a_record_without_a_file(stack: Stack, api: Api) -> None:
    """Leave the state of a process that died between the two writes."""
    stack.s3.plan("put_object", raising(LOST))
    stack.dynamodb.plan("transact_write_items", done, raising(LOST))
    assert post(api).status == 503
    assert (stack.the_record().status, stack.originals()) == (Status.PENDING, set())


def test_a_repeated_post_stores_the_file_if_the_first_process_died_before_storing_it(
    stack: Stack, api: Api
) -> None:
    leave_a_record_without_a_file(stack, api)
    assert post(api).status == 202
    assert stack.originals() == {stack.the_record().key}
    assert stack.counts() == {"pending": 1}


def test_a_repeated_post_stores_the_file_after_the_sweep_failed_the_image(stack: Stack, api: Api) -> None:
    leave_a_record_without_a_file(stack, api)
    stack.clock.advance(31)
    sweep(stack.services)
    assert stack.counts() == {"failed": 1}
    assert post(api).json()["status"] == "pending"
    assert stack.counts() == {"pending": 1}


def test_a_post_whose_storage_reply_was_lost_is_one_image_with_one_version(stack: Stack, api: Api) -> None:
    stack.s3.plan("put_object", done_but_raising(LOST))
    assert post(api).status == 503
    assert post(api).status == 202
    assert versions(stack) == 1
    assert stack.counts() == {"pending": 1}


def test_a_put_that_botocore_retries_succeeds(stack: Stack, api: Api) -> None:
    stack.s3.plan("put_object", repeated)
    assert api.upload(PHOTO).status == 202
    assert versions(stack) == 1


def test_two_simultaneous_posts_with_one_key_create_one_image(stack: Stack, api: Api) -> None:
    responses: list[Response] = []

    def post_first() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())  # Mangum requires one in the thread
        responses.append(post(api))

    def in_another_environment() -> None:
        thread = threading.Thread(target=post_first)
        thread.start()
        thread.join()

    stack.dynamodb.plan("transact_write_items", preceded_by(in_another_environment))
    responses.append(post(api))
    assert [response.status for response in responses] == [202, 202]
    assert responses[0].json()["image_id"] == responses[1].json()["image_id"]
    assert stack.counts() == {"pending": 1}
    assert versions(stack) == 1


@pytest.mark.parametrize("again", [post, reserve])
def test_a_repeated_request_does_not_bring_back_a_deleted_image(
    stack: Stack, api: Api, again: Callable[[Api], Response]
) -> None:
    image_id = again(api).json()["image_id"]
    if again is reserve:
        stack.put(stack.the_record().key, PHOTO)
    claimed(stack)
    assert api.delete(f"/api/images/{image_id}").status == 204
    for _ in range(2):
        response = again(api)
        assert (response.status, response.code) == (409, "image_deleted")
        assert api.get(f"/api/images/{image_id}").status == 404
        assert stack.originals() == set()
        stack.clock.advance(3600)
        sweep(stack.services)
    stack.clock.advance(IDEMPOTENCY_KEY_MS / 1000)
    sweep(stack.services)
    assert stack.every() == []
    assert again(api).status in (201, 202)


def test_the_deletion_of_an_image_whose_key_is_a_day_old_leaves_nothing(stack: Stack, api: Api) -> None:
    image_id = post(api).json()["image_id"]
    claimed(stack)
    stack.clock.advance(IDEMPOTENCY_KEY_MS / 1000)
    assert api.delete(f"/api/images/{image_id}").status == 204
    assert stack.every() == []


@pytest.mark.parametrize("key", ["", "with space", "é", "x" * 256, "tab\there"])
def test_a_malformed_key_is_invalid(stack: Stack, api: Api, key: str) -> None:
    for response in (post(api, key), reserve(api, key)):
        assert (response.status, response.code) == (422, "invalid_request")
    assert stack.every() == []


def test_images_with_keys_are_listed_by_creation_time(stack: Stack, api: Api) -> None:
    created: list[str] = []
    for key in "cafebabe":
        created.insert(0, post(api, f"{key}{len(created)}").json()["image_id"])
        stack.clock.advance(1)
    assert [image["data"]["image_id"] for image in api.get("/api/images").json()["data"]] == created


# POST /api/uploads


def test_a_repeated_reservation_returns_the_same_image_with_a_new_url(stack: Stack, api: Api) -> None:
    first = reserve(api)
    stack.clock.advance(600)
    second = reserve(api)
    assert (first.status, second.status) == (201, 201)
    assert first.json()["image_id"] == second.json()["image_id"]
    assert second.json()["expires_at"] == "2026-11-20T10:25:00Z"
    assert second.headers["location"] == f"{BASE}/api/images/{second.json()['image_id']}"
    assert stack.the_record().deadline == stack.clock.now_ms + (900 + 30) * 1000


def test_a_renewed_reservation_outlives_its_first_deadline(stack: Stack, api: Api) -> None:
    reserve(api)
    stack.clock.advance(900)
    reserve(api)
    stack.clock.advance(60)
    sweep(stack.services)
    assert stack.the_record().status is Status.RESERVED


def test_an_unused_reservation_is_purged_and_its_key_can_be_used_again(stack: Stack, api: Api) -> None:
    image_id = reserve(api).json()["image_id"]
    stack.clock.advance(931)
    sweep(stack.services)
    assert stack.every() == []
    assert api.get(f"/api/images/{image_id}").status == 404
    assert reserve(api).status == 201


@pytest.mark.parametrize("is_claimed", [False, True])
def test_a_repeated_reservation_returns_the_image_if_the_file_is_there(
    stack: Stack, api: Api, is_claimed: bool
) -> None:
    image_id = reserve(api).json()["image_id"]
    stack.put(stack.the_record().key, PHOTO)
    if is_claimed:
        claimed(stack)
    response = reserve(api)
    assert response.status == 200
    assert set(response.json()) == {"image_id", "status", "data", "error"}
    assert (response.json()["image_id"], response.json()["status"]) == (
        image_id,
        "processing" if is_claimed else "pending",
    )
    assert response.headers["location"] == f"{BASE}/api/images/{image_id}"


@pytest.mark.parametrize(
    "other",
    [{"filename": "b.jpg"}, {"content_type": "image/png"}, {"size": 7}, {"sha256": "0" * 64}],
)
def test_the_same_key_with_another_reservation_is_refused(stack: Stack, api: Api, other: dict[str, Any]) -> None:
    reserve(api)
    before = stack.the_record()
    response = reserve(api, **other)
    assert (response.status, response.code) == (409, "idempotency_key_reused")
    assert stack.every() == [before]


def test_a_checksum_in_other_letter_case_is_the_same_request(api: Api) -> None:
    first, second = reserve(api, sha256="AB" * 32), reserve(api, sha256="ab" * 32)
    assert first.json()["image_id"] == second.json()["image_id"]
    assert "x-amz-checksum-sha256" in second.json()["upload"]["headers"]


def test_a_reservation_whose_response_was_lost_can_be_repeated(stack: Stack, api: Api) -> None:
    stack.dynamodb.plan("put_item", done_but_raising(LOST))
    assert reserve(api).status == 503
    assert reserve(api).status == 201
    assert len(stack.every()) == 1


def test_a_repeated_reservation_returns_the_image_if_the_file_arrives_meanwhile(stack: Stack, api: Api) -> None:
    reserve(api)

    def arrive() -> None:
        stack.put(stack.the_record().key, PHOTO)
        record = stack.the_record()
        stored = stack.services.storage.head(record.key)
        assert stored is not None
        stack.other_records().claim(record, stored, lease_seconds=LEASE_SECONDS)

    stack.dynamodb.plan("put_item", preceded_by(arrive))
    response = reserve(api)
    assert (response.status, response.json()["status"]) == (200, "processing")
