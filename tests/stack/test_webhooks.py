"""Webhooks of the running stack: from an upload to a receiver that verifies them, or that is dead."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from image_webhooks.handler import RESPONSE_SECONDS
from tests import pictures
from tests.receiver import SECRET, Handler, Receiver, receiver, status
from tests.running_stack import Stack, running_stack, until
from tests.smoke_run import smoke_on

IMAGES = 8


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, receiving: Receiver) -> Iterator[Stack]:
    """A stack as `make run WEBHOOK_URL=… WEBHOOK_SECRET=…` starts it."""
    env = os.environ | {"WEBHOOK_URL": receiving.url, "WEBHOOK_SECRET": SECRET}
    folder = tmp_path_factory.mktemp("webhooks")
    with running_stack(folder, "--workers", "1", "--model", "demo", env=env) as stack:
        yield stack


def verified(receiving: Receiver) -> list[Any]:
    return [request.verified(SECRET) for request in receiving.requests]


def waiting(stack: Stack) -> int:
    """The number of webhooks in the queue."""
    settings = json.loads(stack.env_file.with_name("stack.json").read_text())["settings"]
    sqs = boto3.client("sqs", endpoint_url=stack.s3.meta.endpoint_url, region_name="us-east-1")
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=settings["WEBHOOK_QUEUE_URL"], AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_the_receiver_gets_a_verified_webhook_for_each_end_of_an_image(stack: Stack, receiving: Receiver) -> None:
    image_id = stack.upload(pictures.jpeg(120, 80))
    finished = stack.finished(image_id)["data"]
    broken = stack.upload(pictures.cut(pictures.jpeg(800, 600, quality=95)))
    stack.finished(broken)
    stack.api.delete(f"/api/images/{image_id}")
    until(lambda: len(receiving.requests) >= 3, seconds=30)
    webhooks = {(one["type"], one["data"]["image_id"]): one["data"] for one in verified(receiving)}
    assert set(webhooks) == {
        ("image.processed", image_id),
        ("image.failed", broken),
        ("image.deleted", image_id),
    }
    processed = webhooks["image.processed", image_id]
    assert processed["caption"] == finished["metadata"]["caption"]
    assert processed["thumbnails"] == finished["thumbnails"]
    until(lambda: waiting(stack) == 0, seconds=10)


def silent(handler: Handler) -> None:
    handler.receiver.closing.wait(60)


def test_a_dead_receiver_delays_no_image_and_loses_no_webhook(stack: Stack, receiving: Receiver) -> None:
    receiving.requests.clear()
    receiving.respond = silent
    started = time.monotonic()
    image_ids = [stack.upload(pictures.jpeg(120, 80 + number)) for number in range(IMAGES)]
    images = [stack.finished(image_id) for image_id in image_ids]
    seconds = time.monotonic() - started
    assert {image["status"] for image in images} == {"success"}
    assert seconds < IMAGES * RESPONSE_SECONDS, "images would wait for the receiver"
    until(lambda: waiting(stack) == IMAGES and receiving.requests, seconds=20)

    receiving.requests.clear()
    receiving.respond = status(200)
    image_ids.append(stack.upload(pictures.jpeg(60, 40)))

    def delivered() -> set[str]:
        return {one["data"]["image_id"] for one in verified(receiving)}

    until(lambda: image_ids[-1] in delivered(), seconds=30)
    # Those that were tried wait for their next attempt.
    until(lambda: len(delivered()) + waiting(stack) == len(image_ids), seconds=10)


@pytest.mark.slow
def test_a_receiver_that_is_back_gets_what_waited(stack: Stack, receiving: Receiver) -> None:
    receiving.respond = status(503)
    image_id = stack.upload(pictures.jpeg(120, 90))
    stack.finished(image_id)
    until(lambda: waiting(stack) >= 1, seconds=20)
    receiving.requests.clear()
    receiving.respond = status(200)
    until(lambda: waiting(stack) == 0, seconds=90)
    assert image_id in [one["data"]["image_id"] for one in verified(receiving)]


@pytest.mark.slow
def test_the_smoke_test_finds_a_receiver_that_accepts_nothing(
    stack: Stack, receiving: Receiver, tmp_path: Path
) -> None:
    receiving.respond = status(500)
    run = smoke_on(stack, tmp_path)
    assert run.code == 1
    assert run.named("failed") == {"webhooks"}
    assert "the receiver does not accept them" in run.steps["webhooks"][1]
