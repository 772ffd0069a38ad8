"""Send webhooks that were given up again: from the dead-letter queue back to the queue of webhooks.

SQS can do this itself (`StartMessageMoveTask`), but the emulators of the local stack cannot.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.rate import RateLimit

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_BATCH = 10
_WAIT_SECONDS = 1
"""A long poll asks all of SQS's servers, so that an empty response means an empty queue."""


@dataclass
class Redriven:
    """How many webhooks were sent again."""

    moved: int = 0


def dead_letter_queue(sqs: SQSClient, queue_url: str) -> str:
    """Return the URL of the dead-letter queue of a queue."""
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    arn: str = json.loads(found["RedrivePolicy"])["deadLetterTargetArn"]
    return sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]


def redrive(sqs: SQSClient, *, letters_url: str, queue_url: str, rate: RateLimit, done: Redriven) -> Redriven:
    """Move all messages from one queue to the other. `done` is filled. Safe to repeat after an interruption.

    A message is deleted after it was sent. If that is interrupted, it is sent twice, with the same `webhook-id`.
    """
    while True:
        response = sqs.receive_message(
            QueueUrl=letters_url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=_WAIT_SECONDS
        )
        messages = response.get("Messages", [])
        if not messages:
            return done
        for message in messages:
            rate.wait()
            sqs.send_message(QueueUrl=queue_url, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=letters_url, ReceiptHandle=message["ReceiptHandle"])
            done.moved += 1
