"""The queue: what its messages say, and sending more of them.

Every message says the same: "look at this key". S3 sends its notifications; ours have the same form.
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
"""SQS hides a message for no longer than this."""


@dataclass(frozen=True)
class Look:
    """Something may have happened to this key. `etag` is that of the object that the message is about, if known."""

    bucket: str
    key: str
    etag: str | None = None


class UnknownMessage(ValueError):
    """The message is neither S3's nor ours."""


def looks_in(notification: Mapping[str, Any]) -> list[Look]:
    """The keys that an S3 notification names, each decoded exactly once. `s3:TestEvent` names none.

    Raises `UnknownMessage` for what is no S3 notification.
    """
    if notification.get("Event") == "s3:TestEvent":
        return []
    try:
        return [_look(record["s3"]) for record in notification["Records"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise UnknownMessage("the message is not an S3 notification") from error


def looks_in_text(body: str) -> list[Look]:
    """`looks_in` of a queue message's body."""
    try:
        notification = json.loads(body)
    except ValueError as error:
        raise UnknownMessage("the message is not JSON") from error
    if not isinstance(notification, dict):
        raise UnknownMessage("the message is not a JSON object")
    return looks_in(notification)


def _look(entity: Mapping[str, Any]) -> Look:
    stored = entity["object"]
    etag = stored.get("eTag")
    return Look(
        bucket=entity["bucket"]["name"],
        key=unquote_plus(stored["key"]),
        etag=etag.strip('"') if isinstance(etag, str) and etag else None,
    )


def notification_of(look: Look) -> dict[str, Any]:
    """A message of ours in S3's form, so that there is one kind of message to read."""
    stored = {"key": quote_plus(look.key)}
    return {
        "Records": [
            {
                "eventSource": "image-pipeline",
                "eventName": "Look",
                "s3": {"bucket": {"name": look.bucket}, "object": stored},
            }
        ]
    }


class Queue:
    """The queue that the processor is fed from. `client` is an SQS client."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._url = queue_url

    def send(self, look: Look) -> None:
        """Asks for a look at a key."""
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(notification_of(look)))

    def waiting(self) -> int:
        """About how many messages there are, received ones not counted."""
        answer = self._client.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def hide(self, receipt_handle: str, seconds: float, *, queue_url: str | None = None) -> None:
        """Gives a received message back to the queue, to be seen again in `seconds` (rounded up)."""
        self._client.change_message_visibility(
            QueueUrl=queue_url or self._url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=min(MAX_VISIBILITY_SECONDS, int(seconds) + 1),
        )
