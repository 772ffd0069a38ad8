"""A day of webhooks in virtual time: the real function, with real requests and a simulated queue."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any

import pytest

from image_core.clock import Clock
from image_core.stores.queue import Queue
from image_webhooks.endpoint import parse_endpoint
from image_webhooks.handler import Webhooks, handle
from image_webhooks.schedule import ATTEMPTS
from image_webhooks.signing import signing_key
from local.template import read_template
from ops.rate import RateLimit
from ops.redrive import Redriven, redrive
from tests.receiver import SECRET, Receiver, receiver, status
from tests.simulation.sqs import FakeQueue, FakeSQS
from tests.unit.webhooks.events import bus_event

HOUR = 3600.0
QUEUE, LETTERS = "queue", "letters"
TIMES = read_template()["Mappings"]["Timing"]["Webhooks"]


class Keys:
    def get(self) -> tuple[bytes, ...]:
        return (signing_key(SECRET),)


class Day:
    """The queue and the function, in virtual time. `now` is in seconds."""

    def __init__(self, url: str) -> None:
        self.now = 0.0
        self.sqs = FakeSQS(lambda: self.now)
        self.sqs.queues[QUEUE] = FakeQueue(TIMES["VisibilityTimeout"], TIMES["MaxReceiveCount"], LETTERS)
        self.sqs.queues[LETTERS] = FakeQueue(30)
        self.attempts: list[float] = []
        queue: Any = Queue(self.sqs, QUEUE)  # type: ignore[arg-type]
        keys: Any = Keys()
        jitter = random.Random(1)
        # Signatures have the real time, because the receiver compares it with its own.
        self._webhooks = Webhooks(
            parse_endpoint(url, plain_http=True), keys, queue, Clock(), lambda: jitter.uniform(-1, 1)
        )

    def send(self, message: str) -> None:
        self.sqs.send_message(QueueUrl=QUEUE, MessageBody=message)

    def run_until(self, end: float) -> None:
        """Deliver messages whenever some become visible, until the time `end`."""
        while True:
            visible = min((m.visible_at for m in self.sqs.queues[QUEUE].messages.values()), default=end)
            if visible >= end:
                self.now = max(self.now, end)
                return
            self.now = max(self.now, visible)
            received = self.sqs.receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=10).get("Messages", [])
            if received:
                self._deliver(received)

    def _deliver(self, received: list[dict[str, Any]]) -> None:
        self.attempts.append(self.now)
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in received
        ]
        failures = handle({"Records": records}, self._webhooks)["batchItemFailures"]
        failed = {failure["itemIdentifier"] for failure in failures}
        for message in received:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=QUEUE, ReceiptHandle=message["ReceiptHandle"])

    def redrive(self) -> int:
        """Send the dead letters again, and return how many there were."""
        sqs: Any = self.sqs
        rate = RateLimit(None, now_ms=lambda: 0, sleep=lambda _: None)
        return redrive(sqs, letters_url=LETTERS, queue_url=QUEUE, rate=rate, done=Redriven()).moved

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages in the queue, and dead letters."""
        return len(self.sqs.queues[QUEUE].messages), len(self.sqs.queues[LETTERS].messages)


@pytest.fixture
def url() -> str:
    """The URL of a receiver that is gone, and that `back` starts again."""
    with receiver() as running:
        return running.url


def back(url: str) -> AbstractContextManager[Receiver]:
    return receiver(port=parse_endpoint(url, plain_http=True).port)


@pytest.fixture
def day(url: str) -> Day:
    return Day(url)


def ids(running: Receiver) -> list[str]:
    for request in running.requests:
        request.verified()
    return [request.webhook_id for request in running.requests]


@pytest.fixture
def messages() -> list[str]:
    return [bus_event(rev=rev) for rev in range(1, 4)]


def test_a_receiver_that_is_gone_for_an_hour_gets_everything_within_the_next(
    day: Day, url: str, messages: list[str]
) -> None:
    for message in messages:
        day.send(message)
    day.run_until(HOUR)
    assert day.waiting == (3, 0)
    with back(url) as running:
        day.run_until(2.2 * HOUR)
        assert sorted(ids(running)) == sorted(set(ids(running))) and len(ids(running)) == 3
    assert day.waiting == (0, 0)


def test_after_a_day_webhooks_are_dead_letters_and_a_redrive_delivers_them(
    day: Day, url: str, messages: list[str]
) -> None:
    for message in messages:
        day.send(message)
    day.run_until(22 * HOUR)
    assert day.waiting == (3, 0), "nothing is given up earlier"
    day.run_until(26 * HOUR)
    assert day.waiting == (0, 3)
    with back(url) as running:
        assert day.redrive() == 3
        day.run_until(27 * HOUR)
        assert len(set(ids(running))) == len(running.requests) == 3
    assert day.waiting == (0, 0)


def test_a_redriven_webhook_is_tried_for_another_day(day: Day, messages: list[str]) -> None:
    day.send(messages[0])
    day.run_until(26 * HOUR)
    assert len(day.attempts) == ATTEMPTS
    assert day.redrive() == 1
    day.run_until(48 * HOUR)
    assert day.waiting == (1, 0)
    day.run_until(52 * HOUR)
    assert day.waiting == (0, 1)


def test_a_receiver_that_fails_every_second_time_gets_everything(day: Day, url: str) -> None:
    with back(url) as running:
        running.respond = lambda handler: status(500 if len(running.requests) % 2 else 200)(handler)
        for rev in range(20):
            day.send(bus_event(rev=rev))
        day.run_until(24 * HOUR)
        assert len(set(ids(running))) == 20
    assert day.waiting == (0, 0)
