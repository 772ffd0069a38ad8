"""S3 notifications about a stack's buckets, bare or in SQS messages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from tests.events import Event, load
from tests.functional.emulator import Stack


def notification(stack: Stack, file: str = "s3_put.json", key: str | None = None, **fields: Any) -> Event:
    """Load the notification in `file`, with this stack's bucket (and `key`, encoded as S3 encodes it)."""
    event = load(file)
    entity = event["Records"][0]["s3"]
    entity["bucket"]["name"] = stack.uploads_bucket
    entity["bucket"]["arn"] = f"arn:aws:s3:::{stack.uploads_bucket}"
    if key is not None:
        entity["object"]["key"] = quote_plus(key, safe="/")
    entity["object"] |= fields
    return event


def key_in(event: Event) -> str:
    return unquote_plus(event["Records"][0]["s3"]["object"]["key"])


def messages(*bodies: Event | str, file: str = "sqs_s3_put.json", **attributes: str) -> Event:
    """Build the event with which Lambda delivers SQS messages; their ids are `message-0`, `message-1`, …"""
    event = load(file)
    (template,) = event["Records"]
    event["Records"] = [
        template
        | {
            "messageId": f"message-{number}",
            "receiptHandle": f"receipt-{number}",
            "body": body if isinstance(body, str) else json.dumps(body),
            "attributes": template["attributes"] | attributes,
        }
        for number, body in enumerate(bodies)
    ]
    return event


def failed(response: dict[str, Any]) -> list[str]:
    """Return the ids of the messages that Lambda must deliver again."""
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
