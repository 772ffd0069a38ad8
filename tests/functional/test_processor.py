"""The processor: from events to records, thumbnails and captions."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from image_core import renditions
from image_core.errors import UploadIncomplete
from image_core.keys import derived_image_id, new_image_id, upload_key
from image_core.model import ModelQuality, Status
from image_core.stores.queue import ObjectEvent, UnknownMessage, notification_of
from image_processor.handler import Processor
from image_processor.model_loader import load_model
from tests import pictures
from tests.events import Event, load
from tests.functional.captioners import DEMO_MODEL, Failing, FakeCaptioner, Silent
from tests.functional.emulator import Stack, raising
from tests.functional.http_api import Api
from tests.functional.images import image_in, new_record
from tests.functional.s3_events import failed, key_in, messages, notification


@pytest.fixture
def captioner() -> FakeCaptioner:
    return FakeCaptioner()


@pytest.fixture
def process(stack: Stack, captioner: FakeCaptioner) -> Callable[..., dict[str, Any]]:
    """Send an event to the processor as Lambda would. A bare notification is wrapped in a message."""
    processor = Processor(stack.services, lambda _: captioner)

    def run(*events: Event | str) -> dict[str, Any]:
        return processor(messages(*events))

    return run


def error_of(stack: Stack) -> Any:
    record = stack.the_record()
    return record.error and record.error["code"]


# Results


def test_a_dropped_picture_gets_a_record_metadata_thumbnails_and_a_caption(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    body = pictures.jpeg(400, 200, exif=pictures.exif(main={0x010F: "Canon"}))
    stack.put("photo.jpg", body)
    assert process(notification(stack)) == {"batchItemFailures": []}
    record = stack.the_record()
    assert (record.status, record.source, record.original_name) == (Status.SUCCESS, "bucket", "photo.jpg")
    assert record.metadata == {
        "width": 400,
        "height": 200,
        "format": "jpeg",
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "color_mode": "rgb",
        "bit_depth": 8,
        "has_alpha": False,
        "frames": 1,
        "icc_profile": None,
        "dpi": None,
        "exif": {"Make": "Canon"},
        "placeholder": {"thumbhash": "GwkKZJZziXfAaIeHd2pw6viYjg==", "color": "#807855"},
    }
    assert (record.content_type, record.size_bytes) == ("image/jpeg", len(body))
    assert (record.caption, record.caption_model) == ("a photo with a red corner", "fake@1")
    assert record.thumbnails is not None
    sizes = {size: (info.width, info.height) for size, info in record.thumbnails.sizes.items()}
    assert sizes == {"small": (150, 75), "medium": (300, 150), "large": (400, 200)}
    for info in record.thumbnails.sizes.values():
        thumbnail = stack.services.storage.get_thumbnail(info.key)
        assert thumbnail is not None
        assert info.digest == hashlib.sha256(thumbnail).hexdigest()[:16]
    assert stack.thumbnails() == {info.key for info in record.thumbnails.sizes.values()}
    assert stack.counts() == {"success": 1}


def test_the_api_returns_the_results_of_the_processor(
    stack: Stack, api: Api, process: Callable[..., dict[str, Any]]
) -> None:
    upright = pictures.jpeg(400, 200, orientation=6)
    image_id = api.upload(upright, "my photo.jpg").json()["image_id"]
    process(notification(stack, key=upload_key(image_id, "my photo.jpg")))
    image = api.get(f"/api/images/{image_id}").json()
    assert (image["status"], image["data"]["source"]) == ("success", "api")
    assert (image["data"]["metadata"]["width"], image["data"]["metadata"]["height"]) == (400, 200)
    for size, dimensions in {"small": (150, 75), "medium": (300, 150)}.items():
        response = api.get(f"/api/images/{image_id}/thumbnails/{size}")
        thumbnail = Image.open(BytesIO(response.body))
        assert response.headers["content-type"] == "image/jpeg"
        assert thumbnail.size == dimensions
        assert pictures.same_scene(thumbnail, tolerance=25)


def test_the_captioner_gets_the_upright_picture(
    stack: Stack, process: Callable[..., dict[str, Any]], captioner: FakeCaptioner
) -> None:
    stack.put("photo.jpg", pictures.jpeg(400, 200, orientation=8))
    process(notification(stack))
    (picture,) = captioner.pictures
    assert picture.size == (captioner.image_size, captioner.image_size)
    assert pictures.same_scene(picture, tolerance=25)


def test_a_picture_smaller_than_the_thumbnails_is_not_enlarged(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    stack.put("photo.jpg", pictures.png(40, 20))
    process(notification(stack))
    thumbnails = stack.the_record().thumbnails
    assert thumbnails is not None
    assert {(info.width, info.height) for info in thumbnails.sizes.values()} == {(40, 20)}


def test_the_largest_side_has_enough_pixels_whatever_its_name(stack: Stack, captioner: FakeCaptioner) -> None:
    sizes = renditions.parse("large=1024,small=150,medium=300")
    services = replace(stack.services, settings=stack.settings.model_copy(update={"thumbnails": sizes}))
    original = pictures.noise(1024, 1024).convert("L").resize((1536, 1536), Image.Resampling.BICUBIC)
    exact = np.asarray(original.resize((1024, 1024), Image.Resampling.LANCZOS)).astype(int)
    stack.put("photo.jpg", pictures.encode(original, "BMP"))

    Processor(services, lambda _: captioner)(messages(notification(stack)))

    created = stack.the_record().thumbnails
    assert created is not None
    body = services.storage.get_thumbnail(created.sizes["large"].key)
    assert body is not None
    large = np.asarray(Image.open(BytesIO(body)))
    assert large.shape == (1024, 1024)
    assert np.abs(large - exact).mean() < 10, "it would be 16 if it were enlarged from 768 pixels"


def test_the_processing_time_is_in_the_record_and_the_statistics(stack: Stack) -> None:
    captioner = FakeCaptioner(lambda: stack.clock.advance(1.5))
    stack.put("photo.jpg", pictures.jpeg())
    Processor(stack.services, lambda _: captioner)(messages(notification(stack)))
    assert stack.the_record().processing_ms == 1500
    assert stack.other_records().stats().processing_ms_total == 1500


def test_an_empty_caption_is_not_a_failure(stack: Stack, api: Api) -> None:
    stack.put("photo.jpg", pictures.jpeg())
    Processor(stack.services, lambda _: Silent())(messages(notification(stack)))
    record = stack.the_record()
    assert (record.status, record.caption) == (Status.SUCCESS, None)
    metadata = api.get(f"/api/images/{record.image_id}").json()["data"]["metadata"]
    assert metadata["caption"] is None
    assert metadata["caption_reason"] == record.caption_reason != ""


# Keys


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("s3_put.json", "photo.jpg"),
        ("s3_put_space_plus_e_acute.json", "my photo+1 é.jpg"),
        ("s3_put_percent.json", "100% sure%20thing.jpg"),
        ("s3_put_emoji.json", "\U0001f33b sunflower"),
        ("s3_multipart_upload.json", "large picture.tiff"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False], ids=["in a message", "bare"])
def test_a_file_may_be_dropped_under_any_key(stack: Stack, file: str, name: str, wrapped: bool) -> None:
    event = notification(stack, file)
    key = key_in(event)
    stack.put(key, pictures.png())
    response = Processor(stack.services, lambda _: FakeCaptioner())(messages(event) if wrapped else event)
    record = stack.the_record()
    assert response == ({"batchItemFailures": []} if wrapped else {})
    assert (record.status, record.key, record.original_name) == (Status.SUCCESS, key, name)
    assert record.image_id == derived_image_id(stack.uploads_bucket, key)


@pytest.mark.parametrize(
    "key",
    [
        "no extension",
        "a/b/c/d",
        "/leading",
        "double//slash",
        "report.pdf",
        "uploads/x.jpg",
        ".hidden",
        "é" * 500,
        "a&b=c;d?e#f.jpg",
    ],
)
def test_neither_folder_nor_extension_matters(
    stack: Stack, process: Callable[..., dict[str, Any]], key: str
) -> None:
    stack.put(key, pictures.png())
    assert failed(process(notification(stack, key=key))) == []
    record = stack.the_record()
    assert (record.status, record.key) == (Status.SUCCESS, key)


def test_the_id_in_a_key_is_used_if_no_image_has_it(stack: Stack, process: Callable[..., dict[str, Any]]) -> None:
    image_id = new_image_id()
    key = f"uploads/{image_id}/photo.jpg"
    stack.put(key, pictures.png())
    process(notification(stack, key=key))
    assert stack.the_record().image_id == image_id


def test_a_file_dropped_under_another_images_id_is_a_separate_image(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    existing = image_in(stack.records, Status.SUCCESS)
    key = f"uploads/{existing.image_id}/another name.jpg"
    stack.put(key, pictures.png())
    process(notification(stack, key=key))
    assert {record.image_id: record.key for record in stack.every()} == {
        existing.image_id: existing.key,
        derived_image_id(stack.uploads_bucket, key): key,
    }


def test_an_image_keeps_its_own_id_after_the_id_in_its_key_becomes_free(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    existing = image_in(stack.records, Status.SUCCESS)
    key = f"uploads/{existing.image_id}/another name.jpg"
    stack.put(key, pictures.png())
    process(notification(stack, key=key))
    stack.records.purge(stack.records.mark_deleting(existing, deadline_seconds=0))
    process(notification(stack, key=key))
    assert stack.the_record().image_id == derived_image_id(stack.uploads_bucket, key)
    stack.remove(key)
    process(notification(stack, "s3_delete_marker.json", key))
    assert stack.every() == []


# Messages without an image


def test_the_s3_test_event_is_accepted_and_ignored(stack: Stack, process: Callable[..., dict[str, Any]]) -> None:
    assert process(load("s3_test_event.json")) == {"batchItemFailures": []}
    assert Processor(stack.services, lambda _: FakeCaptioner())(load("s3_test_event.json")) == {}
    assert stack.every() == []


def test_a_folder_marker_is_ignored(stack: Stack, process: Callable[..., dict[str, Any]]) -> None:
    stack.put("some folder/", b"")
    assert failed(process(notification(stack, "s3_put_folder_marker.json"))) == []
    assert stack.every() == []


def test_an_event_from_another_bucket_is_ignored(stack: Stack, process: Callable[..., dict[str, Any]]) -> None:
    stack.put("photo.jpg", pictures.jpeg())
    assert failed(process(load("s3_put.json"))) == []
    assert stack.every() == []


def test_an_invalid_message_is_returned_and_the_next_one_is_processed(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    stack.put("photo.jpg", pictures.jpeg())
    response = process("garbage", notification(stack), "{}")
    assert failed(response) == ["message-0", "message-2"]
    assert stack.the_record().status is Status.SUCCESS


def test_an_invalid_bare_event_raises(stack: Stack) -> None:
    with pytest.raises(UnknownMessage):
        Processor(stack.services, lambda _: FakeCaptioner())({})


# Invalid pictures


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", "corrupt_image", id="empty"),
        pytest.param(pictures.TEXT, "unsupported_format", id="text"),
        pytest.param(pictures.SVG, "unsupported_format", id="svg"),
        pytest.param(pictures.PDF, "unsupported_format", id="pdf"),
        pytest.param(pictures.cut(pictures.jpeg(300, 300)), "corrupt_image", id="jpeg cut short"),
        pytest.param(pictures.cut(pictures.png(300, 300)), "corrupt_image", id="png cut short"),
        pytest.param(b"\xff\xd8\xff" + b"garbage" * 50, "corrupt_image", id="garbage"),
        pytest.param(
            pictures.raw_png(60_000, 60_000, depth=8, color=2, rows=b""), "too_many_pixels", id="too many pixels"
        ),
    ],
)
def test_an_invalid_picture_fails_with_its_code_and_the_next_one_is_processed(
    stack: Stack, process: Callable[..., dict[str, Any]], body: bytes, code: str
) -> None:
    stack.put("bad.jpg", body)
    stack.put("good.jpg", pictures.jpeg())
    response = process(notification(stack, key="bad.jpg"), notification(stack, key="good.jpg"))
    outcomes = {record.key: (record.status, record.error and record.error["code"]) for record in stack.every()}
    assert failed(response) == []
    assert outcomes == {"bad.jpg": (Status.FAILED, code), "good.jpg": (Status.SUCCESS, None)}
    assert {key.split("/")[0] for key in stack.thumbnails()} == {derived_image_id(stack.uploads_bucket, "good.jpg")}


def test_a_file_with_too_many_bytes_is_not_downloaded(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(max_image_bytes=1000, max_post_bytes=1000)
    stack.put("photo.jpg", pictures.jpeg() + bytes(1000))
    Processor(stack.services, lambda _: FakeCaptioner())(messages(notification(stack)))
    assert error_of(stack) == "image_too_large"
    assert stack.s3.arguments("get_object") == []


def test_a_failed_caption_fails_the_image_but_keeps_its_thumbnails(stack: Stack, api: Api) -> None:
    stack.put("photo.jpg", pictures.jpeg())
    response = Processor(stack.services, lambda _: Failing(RuntimeError("no such operator")))(
        messages(notification(stack))
    )
    record = stack.the_record()
    assert failed(response) == []
    assert (record.status, error_of(stack)) == (Status.FAILED, "caption_failed")
    assert "operator" not in json.dumps(record.error)
    assert api.get(f"/api/images/{record.image_id}/thumbnails/small").status == 200


def test_a_caption_that_ran_out_of_memory_is_retried(stack: Stack) -> None:
    stack.put("photo.jpg", pictures.jpeg())
    response = Processor(stack.services, lambda _: Failing(MemoryError()))(messages(notification(stack)))
    assert failed(response) == ["message-0"]
    assert stack.the_record().status is Status.PROCESSING


def test_an_upload_with_invalid_content_is_returned_as_failed(
    stack: Stack, api: Api, process: Callable[..., dict[str, Any]]
) -> None:
    image_id = api.upload(b"\xff\xd8\xff" + b"garbage" * 50).json()["image_id"]
    process(notification(stack, key=upload_key(image_id, "photo.jpg")))
    image = api.get(f"/api/images/{image_id}").json()
    assert (image["status"], image["error"]["code"]) == ("failed", "corrupt_image")
    assert image["data"]["thumbnails"] is None
    assert image["data"]["stages"] == {"metadata": "failed", "thumbnails": "failed", "caption": "failed"}


# Transient errors


@pytest.mark.parametrize("operation", ["head_object", "get_object", "put_object"])
def test_an_s3_error_returns_the_message_and_the_next_one_is_processed(
    stack: Stack, process: Callable[..., dict[str, Any]], operation: str
) -> None:
    stack.put("first.jpg", pictures.jpeg())
    stack.put("second.jpg", pictures.jpeg())
    stack.s3.plan(operation, raising(OSError("connection reset")))
    response = process(notification(stack, key="first.jpg"), notification(stack, key="second.jpg"))
    statuses = {record.key: record.status for record in stack.every()}
    assert failed(response) == ["message-0"]
    assert statuses["second.jpg"] is Status.SUCCESS
    assert statuses.get("first.jpg") in (None, Status.PROCESSING)


def test_a_returned_message_is_processed_after_the_lease(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    stack.put("photo.jpg", pictures.jpeg())
    stack.s3.plan("get_object", raising(OSError("connection reset")))
    assert failed(process(notification(stack))) == ["message-0"]
    stack.clock.advance(stack.settings.lease_seconds)
    assert failed(process(notification(stack))) == []
    record = stack.the_record()
    assert (record.status, record.attempts) == (Status.SUCCESS, 2)


def test_a_bare_event_that_fails_raises_after_all_its_keys_were_handled(stack: Stack) -> None:
    stack.put("first.jpg", pictures.jpeg())
    stack.put("second.jpg", pictures.jpeg())
    event = notification(stack, key="first.jpg")
    event["Records"] += notification(stack, key="second.jpg")["Records"]
    stack.s3.plan("get_object", raising(OSError("connection reset")))
    with pytest.raises(ExceptionGroup):
        Processor(stack.services, lambda _: FakeCaptioner())(event)
    assert {record.key: record.status for record in stack.every()}["second.jpg"] is Status.SUCCESS


def test_a_model_that_cannot_be_loaded_returns_the_message_with_the_thumbnails_saved(stack: Stack) -> None:
    def load_nothing(_: object) -> FakeCaptioner:
        raise OSError("no model")

    stack.put("photo.jpg", pictures.jpeg())
    response = Processor(stack.services, load_nothing)(messages(notification(stack)))
    record = stack.the_record()
    assert failed(response) == ["message-0"]
    assert (record.status, record.thumbnails is not None) == (Status.PROCESSING, True)


# Messages from the pipeline and from moto


def test_a_message_of_the_pipeline_is_parsed_like_one_from_s3(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    key = "some folder/my photo+1 é.jpg"
    stack.put(key, pictures.jpeg())
    assert failed(process(notification_of(ObjectEvent(stack.uploads_bucket, key)))) == []
    assert stack.the_record().key == key


def test_the_notifications_that_the_template_configures_create_an_image(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    stack.notify_the_queue()
    key = "some folder/my photo+1 é.jpg"
    stack.put(key, pictures.jpeg())
    process(*(message["Body"] for message in stack.notifications()))
    assert (stack.the_record().key, stack.the_record().status) == (key, Status.SUCCESS)
    stack.remove(key)
    process(*(message["Body"] for message in stack.notifications()))
    assert stack.every() == []
    assert stack.thumbnails() == set()


# Presigned uploads


def test_a_reservation_becomes_an_image_when_its_file_arrives(
    stack: Stack, api: Api, process: Callable[..., dict[str, Any]]
) -> None:
    reserved = api.send(load("http_post_json.json")).json()
    stack.clock.advance(60)
    key = upload_key(reserved["image_id"], "my photo+1 é.jpg")
    stack.put(key, pictures.jpeg().ljust(12_345, b"\0"))  # as large as announced
    process(notification(stack, key=key))
    (listed,) = api.get("/api/images").json()["data"]
    assert (listed["data"]["image_id"], listed["status"]) == (reserved["image_id"], "success")
    assert listed["data"]["created_at"] == "2026-11-20T10:01:00Z"
    assert api.get("/api/stats").json()["total"] == 1


def test_a_file_that_arrives_after_its_upload_failed_is_processed(
    stack: Stack, process: Callable[..., dict[str, Any]]
) -> None:
    record = stack.records.create(new_record(stack.records))
    stack.records.give_up(record, None, UploadIncomplete())
    stack.put(record.key, pictures.jpeg())
    process(notification(stack, key=record.key))
    assert (stack.the_record().status, error_of(stack)) == (Status.SUCCESS, None)


# The real model


def test_the_demo_model_captions_a_picture_and_is_announced(make_stack: Callable[..., Stack], api: Api) -> None:
    stack = make_stack(caption_model_dir=str(DEMO_MODEL))
    stack.put("photo.jpg", pictures.jpeg(400, 400))
    response = Processor(stack.services)(messages(notification(stack)))
    record = stack.the_record()
    assert failed(response) == []
    assert record.status is Status.SUCCESS
    assert record.caption and record.caption.startswith("a photo of")
    assert record.caption_model == stack.records.caption_model().name


def test_a_model_is_announced_with_its_precision_and_agreement(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    folder = tmp_path / "int8"
    shutil.copytree(DEMO_MODEL, folder)
    agreement = {
        "reference": "fp32",
        "pictures": {"drawn": 100},
        "identical_captions": 0.97,
        "equal_tokens": 0.995,
        "log_probability_difference": 0.01,
        "worst": {"picture": "one", "expected": "a cat", "actual": "a dog"},
    }
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**manifest, "agreement": agreement}))

    stack = make_stack(caption_model_dir=str(folder))
    load_model(stack.services)

    assert stack.records.caption_model().quality == ModelQuality("fp32", 0.97, 0.995)


def test_a_picture_that_does_not_fit_into_memory_is_refused_and_logged(
    make_stack: Callable[..., Stack], captioner: FakeCaptioner, caplog: pytest.LogCaptureFixture
) -> None:
    # 1,450 MB are reserved for the model, and twice MAX_IMAGE_BYTES for the file: 200 bytes remain.
    stack = make_stack(aws_lambda_function_memory_size=1451, max_image_bytes=499_900)
    caplog.set_level("INFO")
    processor = Processor(stack.services, lambda _: captioner)
    assert (
        "1,451 MB of memory have room for fewer pixels than MAX_IMAGE_PIXELS (100,000,000): jpeg 16, png 40"
        in caplog.text
    )

    stack.put("photo.jpg", pictures.png(10, 10))
    processor(messages(notification(stack)))

    assert error_of(stack) == "too_many_pixels"
