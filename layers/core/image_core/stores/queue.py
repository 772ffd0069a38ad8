"""The queue that feeds the processor: parse its messages, and send new ones.

Only the key and the ETag of a message are used. Nothing else in it is trusted. Messages that are sent from here
have the format of S3's notifications.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_VISIBILITY_SECONDS = 12 * 60 * 60
"""SQS's limit for a visibility timeout."""


@dataclass(frozen=True)
class ObjectEvent:
    """Something may have happened to this key. `etag` is the ETag in the message, if it has one."""

    bucket: str
    key: str
    etag: str | None = None


class UnknownMessage(ValueError):
    """The message is not an S3 notification."""


def parse_notification(notification: Mapping[str, Any]) -> list[ObjectEvent]:
    """The events in an S3 notification, each key decoded exactly once. `s3:TestEvent` has none.

    Raises `UnknownMessage` if it is not an S3 notification.
    """
    if notification.get("Event") == "s3:TestEvent":
        return []
    try:
        return [_event(record["s3"]) for record in notification["Records"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise UnknownMessage("the message is not an S3 notification") from error


def parse_message(body: str) -> list[ObjectEvent]:
    """The events in the body of a queue message. Raises `UnknownMessage`."""
    try:
        notification = json.loads(body)
    except ValueError as error:
        raise UnknownMessage("the message is not JSON") from error
    if not isinstance(notification, dict):
        raise UnknownMessage("the message is not a JSON object")
    return parse_notification(notification)


def _event(entity: Mapping[str, Any]) -> ObjectEvent:
    stored = entity["object"]
    etag = stored.get("eTag")
    return ObjectEvent(
        bucket=entity["bucket"]["name"],
        key=unquote_plus(stored["key"]),
        etag=etag.strip('"') if isinstance(etag, str) and etag else None,
    )


def notification_of(event: ObjectEvent) -> dict[str, Any]:
    """Build a message about a key in S3's format, so that there is only one kind of message to parse."""
    stored = {"key": quote_plus(event.key)}
    return {
        "Records": [
            {
                "eventSource": "image-pipeline",
                "eventName": "Requeue",
                "s3": {"bucket": {"name": event.bucket}, "object": stored},
            }
        ]
    }


class Queue:
    """The queue that feeds the processor. `client` is an SQS client."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._url = queue_url

    def send(self, event: ObjectEvent) -> None:
        """Send a message about a key."""
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(notification_of(event)))

    def waiting(self) -> int:
        """The approximate number of waiting messages. Received ones are not counted."""
        response = self._client.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(response["Attributes"]["ApproximateNumberOfMessages"])

    def retry_in(self, receipt_handle: str, seconds: float) -> None:
        """Make a received message visible again in `seconds` (rounded up)."""
        self._client.change_message_visibility(
            QueueUrl=self._url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=min(MAX_VISIBILITY_SECONDS, int(seconds) + 1),
        )
