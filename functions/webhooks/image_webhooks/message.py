"""The id and the body of a webhook: a pure function of the event that the bus sent to the queue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

TYPES = {"ImageProcessed": "image.processed", "ImageFailed": "image.failed", "ImageDeleted": "image.deleted"}
"""The webhook's `type` by the event's `detail-type`."""


_ID = re.compile(r"[A-Za-z0-9_-]+")
"""It becomes a header, and the signed content is separated by dots."""


class NotAnEvent(ValueError):
    """The message is not an event about an image."""


@dataclass(frozen=True)
class Webhook:
    """The content of a webhook. It is the same in each attempt and for a repeated event."""

    webhook_id: str
    image_id: str
    body: bytes


def webhook_of(message: str) -> Webhook:
    """Return the webhook for the body of a queue message, which is an event as EventBridge sends it.

    Raises `NotAnEvent`.
    """
    try:
        event = json.loads(message)
        detail = event["detail"]
        content = {"type": TYPES[event["detail-type"]], "timestamp": detail["time"], "data": detail}
        # Not just image, generation and kind: an overwritten file has another outcome in the same generation.
        webhook_id, image_id = str(detail["event_id"]), str(detail["image_id"])
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotAnEvent("the message is not an event about an image") from error
    if not _ID.fullmatch(webhook_id):
        raise NotAnEvent("the event has an invalid id")
    return Webhook(webhook_id, image_id, body)
