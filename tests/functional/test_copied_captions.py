"""No caption is computed twice: images with the same bytes and recipe get a copy. Also: duplicates in the API."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from image_core.model import Record, Status
from image_processor.captioning import Caption
from image_processor.handler import Processor
from image_processor.pipeline import caption_recipe
from tests import pictures
from tests.functional.captioners import Failing, FakeCaptioner, ImmediateExecutor, Silent
from tests.functional.emulator import Call, Stack, raising
from tests.functional.http_api import Api, request
from tests.functional.s3_events import failed, messages, notification

SAME = pictures.jpeg(300, 200)
SHA256 = hashlib.sha256(SAME).hexdigest()


class Numbered(FakeCaptioner):
    """Numbers its captions, so that a computed caption differs from a copy."""

    def caption(self, picture: Any) -> Caption:
        super().caption(picture)
        return Caption(f"caption {len(self.pictures)}")


class Assessed(FakeCaptioner):
    """Says how good its caption is."""

    def caption(self, picture: Any) -> Caption:
        text = super().caption(picture).text
        return Caption(text, confidence=0.1234, flags=("too_short",), language="en")


def drop(stack: Stack, captioner: FakeCaptioner, key: str, body: bytes = SAME) -> Record:
    """Put a file into the bucket, process its event and return its record."""
    stack.put(key, body)
    return deliver(stack, captioner, key)


def deliver(stack: Stack, captioner: FakeCaptioner, key: str) -> Record:
    process = Processor(stack.services, lambda _: captioner, ImmediateExecutor())
    assert failed(process(messages(notification(stack, key=key)))) == []
    (record,) = [one for one in stack.every() if one.key == key]
    return record


def drop_elsewhere(stack: Stack, key: str, body: bytes) -> None:
    """Put a file and process it with another processor."""
    stack.put(key, body)
    other = Processor(stack.other_services(), lambda _: FakeCaptioner(), ImmediateExecutor())
    assert failed(other(messages(notification(stack, key=key)))) == []


def reprocess(api: Api, record: Record, query: str = "") -> None:
    assert (
        api.send(request("http_post_empty.json", f"/api/images/{record.image_id}/reprocess", query)).status == 202
    )


def test_the_same_bytes_get_the_same_caption_without_the_model(stack: Stack) -> None:
    captioner = Numbered()
    first, second = (drop(stack, captioner, f"{number}.jpg") for number in range(2))
    assert len(captioner.pictures) == 1
    assert (second.status, second.caption, second.caption_model) == (Status.SUCCESS, "caption 1", "fake@1")
    assert second.caption_recipe == first.caption_recipe is not None
    # Everything else is separate, so that each image can be deleted alone.
    assert first.thumbnails and second.thumbnails
    keys = [{info.key for info in one.thumbnails.sizes.values()} for one in (first, second) if one.thumbnails]
    assert keys[0].isdisjoint(keys[1])


def test_a_copy_has_the_confidence_the_flags_and_the_language_of_its_source(stack: Stack) -> None:
    captioner = Assessed()
    first, second = (drop(stack, captioner, f"{number}.jpg") for number in range(2))
    assert len(captioner.pictures) == 1
    for one in (first, second):
        assert (one.caption_confidence, one.caption_flags, one.caption_language) == (0.1234, ("too_short",), "en")


def test_a_copy_of_an_empty_caption_keeps_its_reason(stack: Stack) -> None:
    captioner = Silent()
    for number in range(2):
        record = drop(stack, captioner, f"{number}.jpg")
    assert len(captioner.pictures) == 1
    assert (record.caption, record.caption_reason) == (None, "the model had nothing to say about this picture")


def test_a_different_recipe_computes_a_new_caption(stack: Stack) -> None:
    captioner = Numbered()
    drop(stack, captioner, "1.jpg")
    captioner.recipe = "another"
    assert drop(stack, captioner, "2.jpg").caption == "caption 2"


@pytest.mark.parametrize("setting", [{"thumbnails": "small=150,medium=600"}])
def test_different_model_input_computes_a_new_caption(
    make_stack: Callable[..., Stack], stack: Stack, setting: dict[str, str]
) -> None:
    """The size of the largest thumbnail can change the scale at which a picture is decoded."""
    other = make_stack(**setting)
    model = FakeCaptioner()
    assert caption_recipe(model, stack.settings) != caption_recipe(model, other.settings)


def test_different_bytes_compute_a_new_caption(stack: Stack) -> None:
    captioner = Numbered()
    drop(stack, captioner, "1.jpg")
    assert drop(stack, captioner, "2.jpg", pictures.jpeg(301, 200)).caption == "caption 2"


def test_the_caption_of_a_replaced_file_is_not_copied(stack: Stack) -> None:
    """The index may still name an image whose file was overwritten."""
    captioner = Numbered()
    drop(stack, captioner, "1.jpg")
    stack.put("2.jpg", SAME)

    def overwritten(call: Call, arguments: dict[str, Any]) -> Any:
        found = call(**arguments)
        drop_elsewhere(stack, "1.jpg", pictures.jpeg(301, 200))
        return found

    stack.dynamodb.plan("query", overwritten)
    assert deliver(stack, captioner, "2.jpg").caption == "caption 2"


def test_a_failed_caption_is_not_copied(stack: Stack) -> None:
    drop(stack, Failing(ValueError("bad picture")), "1.jpg")
    captioner = Numbered()
    captioner.recipe = Failing.recipe
    assert drop(stack, captioner, "2.jpg").caption == "caption 1"


def test_an_unavailable_index_prevents_only_the_copy(stack: Stack) -> None:
    captioner = Numbered()
    drop(stack, captioner, "1.jpg")
    throttled: Any = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"}}
    stack.dynamodb.plan("query", raising(ClientError(throttled, "Query")))
    assert drop(stack, captioner, "2.jpg").caption == "caption 2"


def test_reprocessing_copies_the_caption_unless_it_is_forced(stack: Stack, api: Api) -> None:
    captioner = Numbered()
    record = drop(stack, captioner, "1.jpg")
    for query, caption in (
        ("", "caption 1"),
        ("stage=caption", "caption 1"),
        ("force=true", "caption 2"),
        ("", "caption 2"),
        ("stage=caption&force=true", "caption 3"),
        ("stage=thumbnails&force=true", "caption 3"),
    ):
        reprocess(api, record, query)
        after = deliver(stack, captioner, "1.jpg")
        assert (after.status, after.caption) == (Status.SUCCESS, caption), query


def test_a_forced_caption_is_computed_even_if_another_reprocess_comes_first(stack: Stack, api: Api) -> None:
    captioner = Numbered()
    record = drop(stack, captioner, "1.jpg")
    reprocess(api, record, "stage=caption&force=true")
    reprocess(api, record, "stage=thumbnails")
    assert deliver(stack, captioner, "1.jpg").caption == "caption 2"


@pytest.mark.parametrize(("uploads", "different"), [(12, 3), pytest.param(100, 10, marks=pytest.mark.slow)])
def test_as_many_captions_are_computed_as_there_are_different_pictures(
    stack: Stack, uploads: int, different: int
) -> None:
    captioner = Numbered()
    for number in range(uploads):
        drop(stack, captioner, f"{number}.jpg", pictures.jpeg(20 + number % different, 20))
    assert len(captioner.pictures) == different
    assert stack.counts() == {"success": uploads}


# Duplicates in the API


def test_duplicates_name_the_first_image_with_the_same_bytes(stack: Stack, api: Api) -> None:
    records = []
    for number in range(3):
        records.append(drop(stack, FakeCaptioner(), f"{number}.jpg"))
        stack.clock.advance(1)

    def duplicate_of(record: Record) -> str | None:
        metadata = api.get(f"/api/images/{record.image_id}").json()["data"]["metadata"]
        named: str | None = metadata.get("duplicate_of")
        return named

    first = records[0].image_id
    assert [duplicate_of(record) for record in records] == [None, first, first]
    listed = api.get("/api/images").json()["data"]
    assert all("duplicate_of" not in image["data"]["metadata"] for image in listed)

    stack.remove("0.jpg")
    process = Processor(stack.services, lambda _: FakeCaptioner(), ImmediateExecutor())
    process(messages(notification(stack, "s3_delete.json", "0.jpg")))
    assert [duplicate_of(record) for record in records[1:]] == [None, records[1].image_id]
    for record in records[1:]:
        assert api.get(f"/api/images/{record.image_id}/thumbnails/small").status == 200


def test_an_etag_of_a_duplicate_can_be_sent_back(stack: Stack, api: Api) -> None:
    for number in range(2):
        record = drop(stack, FakeCaptioner(), f"{number}.jpg")
        stack.clock.advance(1)
    response = api.get(f"/api/images/{record.image_id}")
    path = f"/api/images/{record.image_id}"
    assert api.get(path, if_none_match=response.headers["etag"]).status == 304


def test_images_are_found_by_their_bytes(stack: Stack, api: Api) -> None:
    same = []
    for number in range(3):
        same.insert(0, drop(stack, FakeCaptioner(), f"{number}.jpg").image_id)
        drop(stack, FakeCaptioner(), f"other {number}.jpg", pictures.jpeg(50 + number, 50))
        stack.clock.advance(1)
    found: list[str] = []
    cursor = ""
    while True:
        page = api.get("/api/images", f"sha256={SHA256}&limit=2{cursor}").json()
        found += [image["data"]["image_id"] for image in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == same
    assert api.get("/api/images", f"sha256={SHA256}&status=failed").json()["data"] == []
    assert api.get("/api/images", f"sha256={'0' * 64}").json()["data"] == []
    assert api.get("/api/images", f"sha256={SHA256[:-1]}").status == 422
