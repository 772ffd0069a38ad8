"""Lambda's event source mapping for SQS: polls a queue, invokes a function, deletes the processed messages.

Everything else is left to the queue, as on AWS: a failed message becomes visible again after its visibility
timeout, and the queue's redrive policy moves it to the dead letters.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from local import logs
from local.deploy import EventSource
from local.function import Function, InvocationError, WorkerFailed

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef


def lambda_event(messages: Sequence[MessageTypeDef], *, queue_arn: str) -> dict[str, Any]:
    """Convert received messages to a Lambda event."""
    return {"Records": [_record(message, queue_arn) for message in messages]}


def _record(message: MessageTypeDef, queue_arn: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                "stringValue": attribute.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute["DataType"],
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def failed_message_ids(result: Any, message_ids: Sequence[str]) -> set[str]:
    """The messages that a `ReportBatchItemFailures` response returns to the queue.

    No list or an empty list means that all succeeded. An entry that names no message of the batch means that all
    failed.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    failed = {failure.get("itemIdentifier") for failure in failures or []}
    return failed if failed <= set(message_ids) else set(message_ids)


class SqsPoller:
    """One poller of one mapping: reserves a worker, then receives messages for it."""

    def __init__(
        self, sqs: SQSClient, source: EventSource, function: Function, *, poll_seconds: float = 0.2
    ) -> None:
        self._sqs = sqs
        self._source = source
        self._function = function
        self._poll_seconds = poll_seconds

    def run(self, stopping: threading.Event) -> None:
        """Poll until `stopping` is set."""
        while not stopping.is_set():
            try:
                found = self.poll(stopping)
            except (BotoCoreError, ClientError, WorkerFailed) as error:
                if stopping.is_set():
                    return
                logs.write(self._function.name, f"cannot receive messages: {error}")
                found = False
            if not found:
                stopping.wait(self._poll_seconds)

    def poll(self, stopping: threading.Event) -> bool:
        """Process one batch. False if the queue is empty. `stopping` is set before the workers are killed."""
        with self._function.reserve() as worker:
            # Short polls only: a long one would block a server that handles one request at a time.
            messages = self._sqs.receive_message(
                QueueUrl=self._source.queue_url,
                MaxNumberOfMessages=min(10, self._source.batch_size),
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not messages:
                return False
            start = time.monotonic()
            try:
                result = worker.invoke(lambda_event(messages, queue_arn=self._source.queue_arn))
            except InvocationError as error:
                reason = "not finished, because the stack is stopping" if stopping.is_set() else str(error)
                logs.write(self._function.name, f"{describe(messages)}: {reason}")
                return True
        self._settle(messages, result, time.monotonic() - start)
        return True

    def _settle(self, messages: Sequence[MessageTypeDef], result: Any, seconds: float) -> None:
        failed: set[str] = set()
        if self._source.reports_item_failures:
            failed = failed_message_ids(result, [message["MessageId"] for message in messages])
        done = [message for message in messages if message["MessageId"] not in failed]
        returned = [message for message in messages if message["MessageId"] in failed]
        if done:
            self._sqs.delete_message_batch(
                QueueUrl=self._source.queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(done)
                ],
            )
            logs.write(self._function.name, f"{describe(done)}: done in {seconds:.2f} s")
        if returned:
            logs.write(self._function.name, f"{describe(returned)}: returned to the queue")


def describe(messages: Sequence[MessageTypeDef]) -> str:
    """The keys or events in the messages, for a log line."""
    return ", ".join(_describe(message["Body"]) for message in messages)


def _describe(body: str) -> str:
    try:
        content: Any = json.loads(body)
        if isinstance(content, Mapping) and "Records" in content:
            return ", ".join(
                f"{record['eventName']} {unquote_plus(record['s3']['object']['key'])}"
                for record in content["Records"]
            )
        if isinstance(content, Mapping) and "detail-type" in content:
            return f"{content['detail-type']} {content['detail']['image_id']}"
        if isinstance(content, Mapping) and "Event" in content:
            return str(content["Event"])
    except (ValueError, KeyError, TypeError):
        pass
    return body if len(body) <= 100 else body[:99] + "…"
