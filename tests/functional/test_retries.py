"""Transient errors: what is retried, when, how often, and which results are reused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from image_core.model import Record, Status
from image_core.services import connect
from image_processor.handler import Processor
from image_processor.watchdog import RESERVE_SECONDS
from image_recovery.handler import handle, sweep
from local.template import read_template
from tests import pictures
from tests.functional.captioners import Failing, FakeCaptioner, ImmediateExecutor
from tests.functional.emulator import Killed, Stack, done_but_raising, followed_by, raising
from tests.functional.http_api import Api
from tests.functional.s3_events import failed, messages, notification

KEY = "photo.jpg"
SHORT_OF_MEMORY = RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer")


@pytest.fixture(autouse=True)
def _a_picture(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(300, 200))


def deliver(stack: Stack, captioner: FakeCaptioner | None = None, **attributes: str) -> list[str]:
    """Send the message about the picture to a processor. Return the messages that must be delivered again."""
    process = Processor(stack.services, lambda _: captioner or FakeCaptioner(), ImmediateExecutor())
    return failed(process(messages(notification(stack), **attributes)))


def hidden_for(stack: Stack) -> list[int]:
    """Return for how many seconds messages were hidden, in order."""
    return [arguments["VisibilityTimeout"] for arguments in stack.sqs.arguments("change_message_visibility")]


def do_nothing(_: Callable[..., Any], __: dict[str, Any]) -> None:
    """Do nothing: the test's messages were never in the queue."""


def code_of(record: Record) -> str | None:
    return record.error["code"] if record.error else None


# When


@pytest.mark.parametrize("error", [MemoryError(), SHORT_OF_MEMORY, OSError("mmap")])
def test_an_interrupted_attempt_releases_the_image_for_an_early_retry(stack: Stack, error: Exception) -> None:
    stack.sqs.plan("change_message_visibility", do_nothing)
    assert deliver(stack, Failing(error)) == ["message-0"]
    (wait_seconds,) = hidden_for(stack)
    assert 7 <= wait_seconds <= 24 < stack.settings.lease_seconds
    stack.clock.advance(wait_seconds)
    assert deliver(stack) == []
    assert (stack.the_record().status, stack.the_record().attempts) == (Status.SUCCESS, 2)


def test_the_delay_grows_with_each_failure_and_the_sweep_respects_it(stack: Stack) -> None:
    stack.sqs.plan("change_message_visibility", *[do_nothing] * 4)
    for _ in range(stack.settings.max_attempts - 1):
        deliver(stack, Failing(MemoryError()))
        stack.clock.advance(hidden_for(stack)[-1])
        assert sweep(stack.services) == {}
    waits = hidden_for(stack)
    assert waits == sorted(waits) and waits[-1] > 400


def test_the_sweep_requeues_an_interrupted_image_whose_message_was_lost(stack: Stack) -> None:
    deliver(stack, Failing(MemoryError()))
    stack.clock.advance(25 + stack.settings.pending_timeout_seconds)
    assert sweep(stack.services) == {"requeue": 1}
    assert len(stack.messages()) == 1


def test_after_an_error_before_the_claim_the_delay_grows_with_the_receive_count(stack: Stack) -> None:
    stack.sqs.plan("change_message_visibility", *[do_nothing] * 2)
    for receipts in ("1", "3"):
        stack.s3.plan("head_object", raising(OSError("connection reset")))
        assert deliver(stack, ApproximateReceiveCount=receipts) == ["message-0"]
    first, third = hidden_for(stack)
    assert 7 <= first <= 24 < 120 <= third <= 361
    assert stack.every() == []


def test_a_lease_that_cannot_be_released_must_expire(stack: Stack) -> None:
    denied = ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "TransactWriteItems")
    stack.s3.plan("get_object", followed_by(lambda: stack.dynamodb.plan("put_item", raising(denied))))
    stack.s3.plan("put_object", raising(OSError("connection reset")))
    assert deliver(stack) == ["message-0"]
    assert stack.the_record().has_live_lease(stack.clock.now_ms)
    stack.clock.advance(stack.settings.lease_seconds)
    assert deliver(stack) == []
    assert stack.the_record().status is Status.SUCCESS


# How often


def test_an_interrupted_last_attempt_fails_the_image_and_drops_the_message(stack: Stack) -> None:
    for _ in range(stack.settings.max_attempts - 1):
        assert deliver(stack, Failing(MemoryError())) == ["message-0"]
        stack.clock.advance(1000)
    assert deliver(stack, Failing(MemoryError())) == []
    record = stack.the_record()
    assert (record.status, code_of(record), record.attempts) == (Status.FAILED, "retries_exhausted", 5)
    assert record.thumbnails is not None
    assert stack.thumbnails() == {info.key for info in record.thumbnails.sizes.values()}
    assert stack.counts() == {"failed": 1}


@pytest.mark.parametrize("ended_by", ["its dead letter", "the sweep alone"])
def test_an_image_whose_worker_was_killed_at_its_last_delivery_fails(stack: Stack, ended_by: str) -> None:
    for _ in range(stack.settings.max_attempts):
        with pytest.raises(Killed):
            deliver(stack, Failing(Killed()))
        stack.clock.advance(stack.settings.lease_seconds)
    if ended_by == "its dead letter":
        context: Any = None
        stored = stack.services.storage.head(KEY)
        assert stored is not None
        letter = messages(notification(stack, eTag=stored.etag), file="sqs_dead_letter.json", SentTimestamp="1")
        assert failed(handle(letter, context, stack.services)) == []
    else:
        assert sweep(stack.services) == {"give_up": 1}
    assert (stack.the_record().status, code_of(stack.the_record())) == (Status.FAILED, "retries_exhausted")
    assert stack.counts() == {"failed": 1}


def test_a_model_that_failed_to_load_is_loaded_again_for_the_next_image(stack: Stack) -> None:
    outcomes: list[Any] = [MemoryError(), FakeCaptioner()]

    def load(_: object) -> FakeCaptioner:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return FakeCaptioner()

    process = Processor(stack.services, load)
    assert failed(process(messages(notification(stack)))) == ["message-0"]
    assert failed(process(messages(notification(stack)))) == []
    assert stack.the_record().status is Status.SUCCESS


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'torch'"), AttributeError("x"), TypeError("x")]
)
def test_a_bug_fails_the_image_at_the_first_attempt(stack: Stack, error: Exception) -> None:
    def load(_: object) -> FakeCaptioner:
        raise error

    process = Processor(stack.services, load, ImmediateExecutor())
    assert failed(process(messages(notification(stack)))) == []
    record = stack.the_record()
    assert (record.status, code_of(record), record.attempts) == (Status.FAILED, "internal_error", 1)
    assert record.thumbnails is not None


def test_an_image_that_a_bug_failed_can_be_reprocessed_after_the_fix(stack: Stack, api: Api) -> None:
    def load(_: object) -> FakeCaptioner:
        raise AttributeError("x")

    Processor(stack.services, load, ImmediateExecutor())(messages(notification(stack)))
    assert api.post(f"/api/images/{stack.the_record().image_id}/reprocess").status == 202
    assert deliver(stack) == []
    assert stack.the_record().status is Status.SUCCESS


# Reused results


def test_an_attempt_after_a_failed_caption_makes_only_the_caption(stack: Stack, api: Api) -> None:
    deliver(stack, Failing(MemoryError()))
    first = stack.the_record()
    image = api.get(f"/api/images/{first.image_id}").json()
    assert image["data"]["stages"] == {"metadata": "done", "thumbnails": "done", "caption": "pending"}
    assert api.get(f"/api/images/{first.image_id}/thumbnails/small").status == 200
    puts = len(stack.s3.arguments("put_object"))
    assert deliver(stack) == []
    second = stack.the_record()
    assert len(stack.s3.arguments("put_object")) == puts == 3
    assert (second.status, second.caption) == (Status.SUCCESS, "a photo with a red corner")
    assert (second.thumbnails, second.metadata) == (first.thumbnails, first.metadata)
    assert stack.thumbnails() == {info.key for info in second.thumbnails.sizes.values()}  # type: ignore[union-attr]
    assert api.get(f"/api/images/{first.image_id}/thumbnails/small").status == 200


def test_reprocessing_makes_everything_again(stack: Stack, api: Api) -> None:
    deliver(stack, Failing(RuntimeError("no such operator")))
    first = stack.the_record()
    assert code_of(first) == "caption_failed"
    api.send({**_reprocess(first)})
    stages = api.get(f"/api/images/{first.image_id}").json()["data"]["stages"]
    assert stages == {"metadata": "pending", "thumbnails": "pending", "caption": "pending"}
    deliver(stack)
    second = stack.the_record()
    assert second.status is Status.SUCCESS
    assert first.thumbnails is not None and second.thumbnails is not None
    assert second.thumbnails.attempt != first.thumbnails.attempt
    assert stack.thumbnails() == {info.key for info in second.thumbnails.sizes.values()}


def _reprocess(record: Record) -> dict[str, Any]:
    from tests.functional.http_api import request

    return request("http_post_empty.json", f"/api/images/{record.image_id}/reprocess")


def test_a_new_version_gets_new_thumbnails_although_old_ones_were_saved(stack: Stack) -> None:
    deliver(stack, Failing(MemoryError()))
    stack.put(KEY, pictures.jpeg(200, 300))
    deliver(stack)
    record = stack.the_record()
    assert record.thumbnails is not None and record.metadata is not None
    assert (record.metadata["width"], record.thumbnails.sizes["small"].width) == (200, 100)


# Lost replies


def test_a_finish_whose_reply_was_lost_is_a_success_that_keeps_its_thumbnails(stack: Stack) -> None:
    lost = OSError("connection reset")
    captioner = FakeCaptioner(lambda: stack.dynamodb.plan("transact_write_items", done_but_raising(lost)))
    deliver(stack, captioner)
    record = stack.the_record()
    assert record.status is Status.SUCCESS
    assert record.thumbnails is not None
    assert stack.thumbnails() == {info.key for info in record.thumbnails.sizes.values()}
    assert deliver(stack) == []


# The invocation's time limit


def test_an_image_is_released_before_the_invocation_ends(stack: Stack) -> None:
    given_back = threading.Event()
    stack.sqs.plan("change_message_visibility", lambda call, arguments: given_back.set())
    captioner = FakeCaptioner(lambda: given_back.wait(30))
    process = Processor(stack.services, lambda _: captioner)

    def at_that_time() -> None:
        assert given_back.wait(30)
        record = stack.the_record()
        states.append((record.status, record.has_live_lease(stack.clock.now_ms), record.thumbnails is not None))

    states: list[tuple[Status, bool, bool]] = []
    captioner.meanwhile = at_that_time
    process(messages(notification(stack)), lambda: RESERVE_SECONDS + 0.3)
    assert states == [(Status.PROCESSING, False, True)]
    # It was not killed, so its results count.
    assert stack.the_record().status is Status.SUCCESS
    assert 7 <= hidden_for(stack)[0] <= 24


def test_a_message_for_which_no_time_is_left_is_not_processed(stack: Stack) -> None:
    process = Processor(stack.services, lambda _: FakeCaptioner())
    assert failed(process(messages(notification(stack)), lambda: RESERVE_SECONDS)) == ["message-0"]
    assert stack.every() == []


def test_an_image_that_is_finished_in_time_is_not_released(stack: Stack) -> None:
    process = Processor(stack.services, lambda _: FakeCaptioner())
    assert failed(process(messages(notification(stack)), lambda: 100.0)) == []
    assert (stack.the_record().status, hidden_for(stack)) == (Status.SUCCESS, [])


def test_no_call_to_aws_can_outlast_a_function(stack: Stack) -> None:
    on_aws = stack.settings.model_copy(update={"aws_endpoint_url": None})
    shortest = min(times["Timeout"] for times in read_template()["Mappings"]["Timing"].values())
    for client in (connect(on_aws).storage._client, connect(on_aws).records._client):
        config = client.meta.config
        tries = config.retries["total_max_attempts"]  # type: ignore[attr-defined]
        waits = sum(min(20, 2**n) for n in range(tries - 1))
        assert tries * (config.connect_timeout + config.read_timeout) + waits < shortest
