"""Reprocess one stage: what is made again, what is kept, and what happens if something cannot be kept."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageOps

from image_core.errors import RetriesExhausted
from image_core.lifecycle import act
from image_core.model import Record, Status
from image_core.stores.items import to_item
from image_processor.captioning import Caption
from image_processor.handler import Processor
from tests import pictures
from tests.functional.captioners import Failing, FakeCaptioner, ImmediateExecutor, Silent
from tests.functional.emulator import Killed, Stack, followed_by, killed
from tests.functional.http_api import Api, Response, request
from tests.functional.s3_events import failed, messages, notification

KEY = "photo.jpg"
OTHER = pictures.encode(ImageOps.flip(pictures.scene(200, 300)), "JPEG")
"""A second version, whose upper left corner is blue."""


class Newer(FakeCaptioner):
    """A different model with different captions."""

    model = "newer@2"
    recipe = "newer"

    def caption(self, picture: Image.Image) -> Caption:
        return Caption(f"{super().caption(picture).text}, says the newer model")


def deliver(stack: Stack, captioner: FakeCaptioner | None = None) -> list[str]:
    """Send the message about the picture to a processor. Return the messages that must be delivered again."""
    process = Processor(stack.services, lambda _: captioner or Newer(), ImmediateExecutor())
    return failed(process(messages(notification(stack))))


def deliver_without_a_model(stack: Stack) -> list[str]:
    def load(_: object) -> FakeCaptioner:
        raise RuntimeError("the model must not be needed")

    return failed(Processor(stack.services, load, ImmediateExecutor())(messages(notification(stack))))


def reprocess(stack: Stack, api: Api, *stages: str) -> Response:
    """Send one reprocess request for each of `stages` and return the last response."""
    path = f"/api/images/{stack.the_record().image_id}/reprocess"
    return [api.send(request("http_post_empty.json", path, f"stage={stage}")) for stage in stages][-1]


def image(stack: Stack, api: Api) -> Any:
    return api.get(f"/api/images/{stack.the_record().image_id}").json()


def stages_in(body: Any) -> tuple[str, str, str]:
    stages = body["data"]["stages"]
    return stages["metadata"], stages["thumbnails"], stages["caption"]


def attempt_that_made_thumbnails(record: Record) -> str:
    assert record.thumbnails is not None
    return record.thumbnails.attempt


def captions_of(record: Record) -> tuple[str | None, str | None, str | None]:
    return record.caption, record.caption_reason, record.caption_model


def assert_everything_was_made_again(before: Record, after: Record) -> None:
    assert after.status is Status.SUCCESS
    assert attempt_that_made_thumbnails(after) != attempt_that_made_thumbnails(before)
    assert after.caption_model == Newer.model


@pytest.fixture
def first(stack: Stack) -> Record:
    """The image after its first processing."""
    stack.put(KEY, pictures.jpeg(300, 200))
    deliver(stack, FakeCaptioner(lambda: stack.clock.advance(2)))
    assert stack.the_record().status is Status.SUCCESS
    return stack.the_record()


# One stage is made again, the rest is kept


def test_only_the_caption_is_made_again_from_the_saved_picture(stack: Stack, api: Api, first: Record) -> None:
    response = reprocess(stack, api, "caption")
    assert (response.status, response.json()["status"]) == (202, "pending")
    puts = len(stack.s3.arguments("put_object"))
    assert deliver(stack) == []
    second = stack.the_record()
    assert captions_of(second) == ("a photo with a red corner, says the newer model", None, "newer@2")
    assert attempt_that_made_thumbnails(second) == attempt_that_made_thumbnails(first)
    assert (second.status, second.metadata) == (Status.SUCCESS, first.metadata)
    assert len(stack.s3.arguments("put_object")) == puts
    assert api.get(f"/api/images/{first.image_id}/thumbnails/small").status == 200


def test_only_thumbnails_and_metadata_are_made_again_without_the_model(
    stack: Stack, api: Api, first: Record
) -> None:
    reprocess(stack, api, "thumbnails")
    assert deliver_without_a_model(stack) == []
    second = stack.the_record()
    assert (second.status, captions_of(second)) == (Status.SUCCESS, captions_of(first))
    assert attempt_that_made_thumbnails(second) != attempt_that_made_thumbnails(first)
    assert {key.split("/")[1] for key in stack.thumbnails()} == {attempt_that_made_thumbnails(second)}


def test_a_kept_caption_may_be_empty_and_keeps_its_reason(stack: Stack, api: Api) -> None:
    stack.put(KEY, pictures.jpeg())
    deliver(stack, Silent())
    silent = captions_of(stack.the_record())
    assert silent[:2] == (None, "the model had nothing to say about this picture")
    reprocess(stack, api, "thumbnails")
    deliver_without_a_model(stack)
    assert (stack.the_record().status, captions_of(stack.the_record())) == (Status.SUCCESS, silent)


@pytest.mark.parametrize(
    ("stage", "stages"),
    [
        ("all", ("pending", "pending", "pending")),
        ("thumbnails", ("pending", "pending", "done")),
        ("caption", ("done", "done", "pending")),
    ],
)
def test_the_old_results_stay_until_the_end_and_the_stages_show_what_is_pending(
    stack: Stack, api: Api, first: Record, stage: str, stages: tuple[str, str, str]
) -> None:
    def take_snapshot() -> None:
        bodies.append(image(stack, api))

    before, bodies = image(stack, api), []
    bodies.append(reprocess(stack, api, stage).json())
    stack.s3.plan("get_object", followed_by(take_snapshot))
    deliver(stack)
    assert [body["status"] for body in bodies] == ["pending", "processing"]
    for body in bodies:
        assert stages_in(body) == stages
        assert body["data"]["metadata"] == before["data"]["metadata"]
        assert body["data"]["thumbnails"] == before["data"]["thumbnails"]
    assert stages_in(image(stack, api)) == ("done", "done", "done")


def test_the_processing_time_is_that_of_the_last_success(stack: Stack, api: Api, first: Record) -> None:
    assert first.processing_ms == 2000
    reprocess(stack, api, "caption")
    deliver(stack, Newer(lambda: stack.clock.advance(3)))
    stats = stack.records.stats()
    assert stack.the_record().processing_ms == stats.processing_ms_total == 3000
    assert stack.counts() == {"success": 1}


# What cannot be kept is made again


@pytest.mark.parametrize("stage", ["thumbnails", "caption"])
def test_everything_is_made_again_for_an_overwritten_file(
    stack: Stack, api: Api, first: Record, stage: str
) -> None:
    reprocess(stack, api, stage)
    stack.put(KEY, OTHER)
    deliver(stack)
    second = stack.the_record()
    assert_everything_was_made_again(first, second)
    assert second.caption == "a photo with a blue corner, says the newer model"
    assert second.metadata is not None and second.metadata["width"] == 200


@pytest.mark.parametrize("stage", ["thumbnails", "caption"])
def test_everything_is_made_for_an_image_that_failed_before_anything_was_saved(
    stack: Stack, api: Api, first: Record, stage: str
) -> None:
    reprocess(stack, api, "all")
    act.give_up(stack.the_record(), stack.services.storage.head(KEY), RetriesExhausted(), stack.services)
    assert stages_in(image(stack, api)) == ("failed", "failed", "failed")
    reprocess(stack, api, stage)
    deliver(stack)
    assert_everything_was_made_again(first, stack.the_record())


@pytest.mark.parametrize("stage", ["thumbnails", "caption"])
def test_everything_is_made_for_an_image_that_was_never_processed(stack: Stack, api: Api, stage: str) -> None:
    assert api.upload(pictures.jpeg()).status == 202
    reprocess(stack, api, stage)
    process = Processor(stack.services, lambda _: Newer(), ImmediateExecutor())
    process(messages(notification(stack, key=stack.the_record().key)))
    record = stack.the_record()
    assert (record.status, record.caption_model) == (Status.SUCCESS, Newer.model)
    assert record.thumbnails is not None


@pytest.mark.parametrize(
    "stages", [("caption", "thumbnails"), ("thumbnails", "caption"), ("all", "caption"), ("all", "thumbnails")]
)
def test_a_second_reprocess_before_the_first_ended_covers_both(
    stack: Stack, api: Api, first: Record, stages: tuple[str, str]
) -> None:
    assert stages_in(reprocess(stack, api, *stages).json()) == ("pending", "pending", "pending")
    deliver(stack)
    assert_everything_was_made_again(first, stack.the_record())


def test_the_same_stage_requested_twice_keeps_the_rest(stack: Stack, api: Api, first: Record) -> None:
    reprocess(stack, api, "caption", "caption")
    deliver(stack)
    assert attempt_that_made_thumbnails(stack.the_record()) == attempt_that_made_thumbnails(first)
    reprocess(stack, api, "thumbnails", "thumbnails")
    assert deliver_without_a_model(stack) == []
    assert stack.the_record().caption_model == Newer.model


def test_a_record_written_before_stages_existed_is_processed_completely(
    stack: Stack, api: Api, first: Record
) -> None:
    reprocess(stack, api, "thumbnails")
    old = to_item(stack.the_record())
    del old["caption_kept_generation"]
    stack.dynamodb.put_item(TableName=stack.settings.images_table, Item=old)
    assert stages_in(image(stack, api)) == ("pending", "pending", "pending")
    deliver(stack)
    assert_everything_was_made_again(first, stack.the_record())


# Failures, retries, duplicates


def test_a_failed_caption_keeps_the_old_results_and_can_be_retried(stack: Stack, api: Api, first: Record) -> None:
    reprocess(stack, api, "caption")
    assert deliver(stack, Failing(RuntimeError("no such operator"))) == []
    after = image(stack, api)
    assert (after["status"], after["error"]["code"]) == ("failed", "caption_failed")
    assert stages_in(after) == ("done", "done", "failed")
    assert captions_of(stack.the_record()) == captions_of(first)
    reprocess(stack, api, "caption")
    deliver(stack)
    assert stack.the_record().caption_model == Newer.model
    assert attempt_that_made_thumbnails(stack.the_record()) == attempt_that_made_thumbnails(first)


def test_new_thumbnails_for_an_image_whose_caption_failed_include_a_caption(
    stack: Stack, api: Api, first: Record
) -> None:
    reprocess(stack, api, "caption")
    deliver(stack, Failing(RuntimeError("no such operator")))
    reprocess(stack, api, "thumbnails")
    deliver(stack)
    assert_everything_was_made_again(first, stack.the_record())


def test_failed_thumbnails_keep_the_caption_for_the_next_attempt(stack: Stack, api: Api) -> None:
    stack.put(KEY, pictures.jpeg())
    deliver(stack, Silent())
    silent = stack.the_record()
    reprocess(stack, api, "thumbnails")
    act.give_up(stack.the_record(), stack.services.storage.head(KEY), RetriesExhausted(), stack.services)
    assert stages_in(image(stack, api)) == ("failed", "failed", "done")
    assert captions_of(stack.the_record()) == captions_of(silent)
    reprocess(stack, api, "thumbnails")
    assert deliver_without_a_model(stack) == []
    assert captions_of(stack.the_record()) == captions_of(silent)


@pytest.mark.parametrize("interruption", ["memory", "crash"])
def test_an_attempt_after_an_interrupted_one_keeps_the_thumbnails_too(
    stack: Stack, api: Api, first: Record, interruption: str
) -> None:
    reprocess(stack, api, "caption")
    if interruption == "memory":
        assert deliver(stack, Failing(MemoryError())) == ["message-0"]
    else:
        with pytest.raises(Killed):
            deliver(stack, Failing(Killed()))
        stack.clock.advance(stack.settings.lease_seconds)
    assert stages_in(image(stack, api)) == ("done", "done", "pending")
    assert deliver(stack) == []
    assert attempt_that_made_thumbnails(stack.the_record()) == attempt_that_made_thumbnails(first)


def test_an_attempt_after_one_that_died_between_save_and_finish_makes_nothing_again(
    stack: Stack, api: Api, first: Record
) -> None:
    reprocess(stack, api, "thumbnails")
    stack.dynamodb.plan("put_item", followed_by(lambda: stack.dynamodb.plan("transact_write_items", killed)))
    with pytest.raises(Killed):
        deliver_without_a_model(stack)
    assert stages_in(image(stack, api)) == ("done", "done", "done")
    saved = stack.the_record()
    assert saved.status is Status.PROCESSING
    stack.clock.advance(stack.settings.lease_seconds)
    assert deliver_without_a_model(stack) == []
    second = stack.the_record()
    assert (second.status, captions_of(second)) == (Status.SUCCESS, captions_of(first))
    assert attempt_that_made_thumbnails(second) == attempt_that_made_thumbnails(saved)
    assert attempt_that_made_thumbnails(second) != attempt_that_made_thumbnails(first)


@pytest.mark.parametrize("stage", ["thumbnails", "caption"])
def test_a_duplicate_event_of_one_stage_changes_nothing(stack: Stack, api: Api, first: Record, stage: str) -> None:
    reprocess(stack, api, stage)
    deliver(stack)
    second = stack.the_record()
    assert deliver(stack) == []
    assert stack.every() == [second]


# The API call


def test_all_is_the_default(stack: Stack, api: Api, first: Record) -> None:
    api.post(f"/api/images/{first.image_id}/reprocess")
    assert stages_in(image(stack, api)) == ("pending", "pending", "pending")


@pytest.mark.parametrize("stage", ["metadata", "Caption", ""])
def test_an_unknown_stage_is_refused_and_changes_nothing(stack: Stack, api: Api, first: Record, stage: str) -> None:
    refused = reprocess(stack, api, stage)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert (stack.every(), stack.messages()) == ([first], [])
