"""Lambda's part: the pollers that invoke the functions, their events, and a captioner that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from PIL import Image

from image_processor.captioning import Caption
from tests.simulation.s3 import Version
from tests.simulation.world import Process, World

if TYPE_CHECKING:
    from tests.simulation.stack import Stack


class EventSource:
    """Lambda's poller of one queue: it invokes a function and deletes the messages that were handled."""

    def __init__(
        self,
        stack: Stack,
        url: str,
        concurrency: int,
        batch_size: int,
        timeout_seconds: float,
        role: str,
        function: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._stack = stack
        self._url = url
        self._concurrency = concurrency
        self._batch_size = batch_size
        self._function = function
        self.running = 0
        self._timeout_seconds = timeout_seconds
        self._role = role

    def expect(self, time: float) -> None:
        """Poll at that time, when a message may be available."""
        self._stack.world.at(max(0, time - self._stack.world.now) + 0.05, self._poll)

    def _poll(self) -> None:
        stack = self._stack
        if self.running >= self._concurrency:
            return
        found = stack.sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=self._batch_size)
        messages = found.get("Messages", [])
        if not messages:
            return
        self.running += 1
        stack.counts["invocations"] += 1
        process = Process(f"{self._role}-{stack.counts['invocations']}")
        stack.kill_after(self._timeout_seconds, process)
        stack.world.start(process.name, lambda: self._invoke(process.name, messages), process)

    def _invoke(self, name: str, messages: list[dict[str, Any]]) -> None:
        stack = self._stack
        try:
            response = self._function(event_of(messages))
            failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
            for message in messages:
                if message["MessageId"] not in failed and not stack.conditions.again():
                    stack.sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            stack.network.note(name, "ends", f"comes back: {', '.join(sorted(failed))}" if failed else "")
        finally:
            self.running -= 1
            stack.world.at(0.05, self._poll)


class Captioner:
    """Takes some time and may fail.

    The caption names the color in the middle of the picture, a number and the recipe. Its confidence and its flag
    depend on the number.
    """

    image_size = 64

    def __init__(self, stack: Stack, version: int, numbers: Iterator[int]) -> None:
        self._stack = stack
        self._numbers = numbers
        self.model = f"simulated@{version}"
        self.recipe = f"recipe {version}"

    def caption(self, picture: Image.Image) -> Caption:
        conditions = self._stack.conditions
        self._stack.world.sleep(conditions.caption_seconds())
        fault = conditions.caption_fault()
        if fault is not None:
            self._stack.network.injected["captioner failed"] += 1
            raise fault
        number = next(self._numbers)
        text = f"a photo of {picture.getpixel((32, 32))}, no. {number}, by {self.recipe}"
        return Caption(text, confidence=confidence_of(number), flags=(f"flag {number}",), language="en")


def confidence_of(number: int) -> float:
    """The confidence of the simulated caption with this number."""
    return number % 10_000 / 10_000


class Context:
    """The context that Lambda passes to a function."""

    aws_request_id = "simulated"

    def __init__(self, world: World, timeout_seconds: float) -> None:
        self._world = world
        self._ends = world.now + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - self._world.now) * 1000))


def notification(bucket: str, event: str, key: str, version: Version) -> dict[str, Any]:
    """Build S3's notification of a change. A removal has neither size nor ETag."""
    stored: dict[str, Any] = {"key": quote_plus(key, safe="/"), "versionId": version.version_id}
    if version.body is not None:
        stored |= {"size": len(version.body), "eTag": version.etag.strip('"')}
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": event,
                "s3": {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": stored},
            }
        ]
    }


def event_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Build the event with which Lambda delivers messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:sim",
                "awsRegion": "eu-west-1",
            }
            for message in messages
        ]
    }
