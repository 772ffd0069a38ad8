"""The part of SQS that the pipeline uses: visibility, receive counts, dead letters."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.errors import refusal


@dataclass
class Message:
    """A message. `receipt` is its latest receipt handle."""

    message_id: str
    body: str
    sent_ms: int
    visible_at: float
    received: int = 0
    receipt: str = ""


@dataclass
class FakeQueue:
    """Messages in the order in which they were sent."""

    visibility_seconds: float
    max_receive_count: int | None = None
    dead_letters: str | None = None
    messages: dict[str, Message] = field(default_factory=dict)


class FakeSQS:
    """`now` returns the time in seconds since 1970.

    `on_visible(url, time)` is called when a message may become visible.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._numbers = itertools.count(1)
        self.queues: dict[str, FakeQueue] = {}
        self.on_visible: Callable[[str, float], None] = lambda *_: None

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> dict[str, Any]:
        message_id = f"m{next(self._numbers):06d}"
        message = Message(message_id, MessageBody, int(self._now() * 1000), self._now())
        self._queue(QueueUrl, "SendMessage").messages[message_id] = message
        self.on_visible(QueueUrl, message.visible_at)
        return {"MessageId": message_id}

    def receive_message(
        self, *, QueueUrl: str, MaxNumberOfMessages: int = 1, WaitTimeSeconds: int = 0
    ) -> dict[str, Any]:
        """Return up to that many messages. Messages that were received too often become dead letters instead."""
        queue, now = self._queue(QueueUrl, "ReceiveMessage"), self._now()
        received: list[dict[str, Any]] = []
        for message in list(queue.messages.values()):
            if message.visible_at > now or len(received) == MaxNumberOfMessages:
                continue
            if queue.max_receive_count is not None and message.received >= queue.max_receive_count:
                self._move_to_dead_letters(queue, message)
                continue
            message.received += 1
            message.receipt = f"{message.message_id}#{message.received}"
            message.visible_at = now + queue.visibility_seconds
            received.append(
                {
                    "MessageId": message.message_id,
                    "ReceiptHandle": message.receipt,
                    "Body": message.body,
                    "Attributes": {
                        "ApproximateReceiveCount": str(message.received),
                        "SentTimestamp": str(message.sent_ms),
                    },
                }
            )
            self.on_visible(QueueUrl, message.visible_at)
        return {"Messages": received} if received else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "DeleteMessage")
        queue.messages.pop(ReceiptHandle.partition("#")[0], None)
        return {}

    def change_message_visibility(
        self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "ChangeMessageVisibility")
        message = queue.messages.get(ReceiptHandle.partition("#")[0])
        if message is None or message.visible_at <= self._now():
            code, text = "InvalidParameterValue", "Value for parameter ReceiptHandle is invalid."
            raise refusal("sqs", "ChangeMessageVisibility", code, text)
        message.visible_at = self._now() + VisibilityTimeout
        self.on_visible(QueueUrl, message.visible_at)
        return {}

    def _move_to_dead_letters(self, queue: FakeQueue, message: Message) -> None:
        assert queue.dead_letters is not None
        del queue.messages[message.message_id]
        # A dead letter keeps the time at which it was sent, as AWS documents it for standard queues.
        letter = Message(message.message_id, message.body, message.sent_ms, self._now())
        self.queues[queue.dead_letters].messages[message.message_id] = letter
        self.on_visible(queue.dead_letters, letter.visible_at)

    def _queue(self, url: str, operation: str) -> FakeQueue:
        try:
            return self.queues[url]
        except KeyError:
            code = "AWS.SimpleQueueService.NonExistentQueue"
            text, shape = "The specified queue does not exist.", "QueueDoesNotExist"
            raise refusal("sqs", operation, code, text, shape=shape) from None
