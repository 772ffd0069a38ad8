"""The processor compares the file with the size and checksum for which the presigned URL was signed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from image_core.errors import RetriesExhausted
from image_core.model import Status
from image_processor.handler import Processor
from image_recovery.handler import sweep
from tests import pictures
from tests.functional.captioners import FakeCaptioner
from tests.functional.emulator import Stack
from tests.functional.http_api import Api, request
from tests.functional.s3_events import messages, notification

PHOTO = pictures.jpeg(60, 40)
SHA256 = hashlib.sha256(PHOTO).hexdigest()
OTHER = PHOTO[:-3] + b"\x00" + PHOTO[-2:]
"""Different bytes of the same length."""


@pytest.fixture
def process_event(stack: Stack) -> Callable[[], None]:
    """Send an event about the only image's key to the processor."""
    processor = Processor(stack.services, lambda _: FakeCaptioner())

    def run() -> None:
        event = notification(stack, key=stack.the_record().key)
        assert processor(messages(event)) == {"batchItemFailures": []}

    return run


def reserve(api: Api, **wanted: Any) -> str:
    asked = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": len(PHOTO)} | wanted
    return str(api.post_json("/api/uploads", asked).json()["image_id"])


def error(stack: Stack) -> Any:
    record = stack.the_record()
    return record.error and record.error["code"]


def test_a_valid_url_does_not_bring_back_a_deleted_image(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    stack.clock.now_ms = int(time.time() * 1000)  # S3's clock
    image_id = reserve(api)
    key = stack.the_record().key
    stack.put(key, PHOTO)
    process_event()
    assert api.delete(f"/api/images/{image_id}").status == 204
    assert stack.originals() == set()

    stack.put(key, OTHER)

    event = notification(stack, key=key)
    processor = Processor(stack.services, lambda _: FakeCaptioner())
    assert processor(messages(event))["batchItemFailures"], "it is retried after the URL expires"
    assert api.get(f"/api/images/{image_id}").status == 404
    stack.clock.advance(stack.settings.upload_url_seconds + stack.settings.pending_timeout_seconds)
    sweep(stack.services)
    assert (stack.originals(), stack.every()) == (set(), [])
    assert processor(messages(event)) == {"batchItemFailures": []}
    assert stack.every() == []


def test_a_file_that_is_dropped_after_the_url_expired_is_a_new_image(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    # For S3 this was a day ago.
    stack.clock.now_ms = int((time.time() - 86_400) * 1000)
    reservation = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": len(PHOTO)}
    event = request(
        "http_post_json.json",
        "/api/uploads",
        body=json.dumps(reservation).encode(),
        headers={"idempotency-key": "k"},
    )
    image_id = api.send(event).json()["image_id"]
    key = stack.the_record().key
    stack.put(key, PHOTO)
    process_event()
    assert api.delete(f"/api/images/{image_id}").status == 204

    stack.put(key, OTHER)

    stack.clock.advance(2 * 86_400)
    sweep(stack.services)
    assert (stack.originals(), stack.every()) == ({key}, [])


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256.upper()])
def test_the_announced_file_is_processed(
    stack: Stack, api: Api, process_event: Callable[[], None], sha256: str | None
) -> None:
    image_id = reserve(api, **({"sha256": sha256} if sha256 else {}))
    stack.put(stack.the_record().key, PHOTO)
    process_event()
    assert api.get(f"/api/images/{image_id}").json()["status"] == "success"


def test_a_size_other_than_the_announced_one_fails_without_a_download(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    image_id = reserve(api, size=12_345)
    stack.put(stack.the_record().key, PHOTO)
    stack.s3.calls.clear()
    process_event()
    image = api.get(f"/api/images/{image_id}").json()
    assert (image["status"], image["error"]["code"]) == ("failed", "upload_mismatch")
    assert "12,345" in image["error"]["message"]
    assert stack.s3.arguments("get_object") == []
    assert stack.the_record().size_bytes == len(PHOTO)
    assert stack.counts() == {"failed": 1}


def test_an_empty_file_is_corrupt_whatever_was_announced(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    reserve(api)
    stack.put(stack.the_record().key, b"")
    process_event()
    assert error(stack) == "corrupt_image"


def test_a_checksum_other_than_the_announced_one_fails(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    reserve(api, sha256=SHA256)
    stack.put(stack.the_record().key, OTHER)
    process_event()
    assert error(stack) == "upload_mismatch"
    assert stack.thumbnails() == set()
    assert stack.originals() == {stack.the_record().key}


def test_the_bytes_decide_the_format_even_if_another_content_type_was_announced(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    image_id = reserve(api, content_type="image/png")
    stack.put(stack.the_record().key, PHOTO)
    process_event()
    image = api.get(f"/api/images/{image_id}").json()
    assert (image["status"], image["data"]["content_type"]) == ("success", "image/jpeg")


def test_reprocessing_compares_the_same_file_again(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    image_id = reserve(api, size=5)
    stack.put(stack.the_record().key, PHOTO)
    process_event()
    api.post(f"/api/images/{image_id}/reprocess")
    process_event()
    assert error(stack) == "upload_mismatch"


@pytest.mark.parametrize("was_given_up", [False, True])
def test_a_file_that_replaces_an_announced_one_is_not_compared(
    stack: Stack, api: Api, process_event: Callable[[], None], was_given_up: bool
) -> None:
    image_id = reserve(api, size=5)
    stack.put(stack.the_record().key, OTHER)
    process_event()
    stack.put(stack.the_record().key, PHOTO)
    if was_given_up:
        stored = stack.services.storage.head(stack.the_record().key)
        stack.records.give_up(stack.the_record(), stored, RetriesExhausted())
        api.post(f"/api/images/{image_id}/reprocess")
    process_event()
    assert stack.the_record().status is Status.SUCCESS


def test_a_posted_file_is_not_compared_because_the_api_has_checked_it(
    stack: Stack, api: Api, process_event: Callable[[], None]
) -> None:
    api.upload(PHOTO)
    assert (stack.the_record().announced_bytes, stack.the_record().announced_sha256) == (None, None)
    process_event()
    assert stack.the_record().status is Status.SUCCESS
