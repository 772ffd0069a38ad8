"""Queues whose cost does not depend on the number of waiting messages.

For each sent or received message, moto counts the queue's messages and reads the clock for each of them. For each
deleted message it rebuilds the list of the others. It never forgets a receipt handle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moto.core.utils import unix_time_millis
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue

from local.moto_patches.replacing import replace, wrap

RECEIPT_HANDLES = 10_000


def apply() -> None:
    """Replace the functions that visit every message."""
    wrap(Queue, "__init__", _limit_deleted_messages)
    replace(Queue, "messages", property(_visible))
    replace(Queue, "approximate_number_of_messages_not_visible", property(_not_visible_count))
    replace(Queue, "approximate_number_of_messages_delayed", property(_delayed_count))
    replace(Queue, "delete_message", _delete_message)


class _Newest(dict[Any, None]):
    """The newest `RECEIPT_HANDLES` values, used as moto uses a set."""

    def update(self, values: Iterable[Any]) -> None:  # type: ignore[override]
        for value in values:
            self[value] = None
        while len(self) > RECEIPT_HANDLES:
            del self[next(iter(self))]


def _limit_deleted_messages(original: Callable[..., None], queue: Queue, *arguments: Any, **named: Any) -> None:
    original(queue, *arguments, **named)
    queue.deleted_messages = _Newest()  # type: ignore[assignment]


def _visible(queue: Queue) -> list[Message]:
    now = unix_time_millis()
    return [message for message in queue._messages if message.visible_at < now and message.delayed_until <= now]


def _not_visible_count(queue: Queue) -> int:
    now = unix_time_millis()
    return sum([message.visible_at >= now for message in queue._messages])


def _delayed_count(queue: Queue) -> int:
    now = unix_time_millis()
    return sum([message.delayed_until > now for message in queue._messages])


def _delete_message(queue: Queue, receipt_handle: str) -> None:
    if receipt_handle in queue.deleted_messages:
        return
    for number, message in enumerate(queue._messages):  # received messages come first
        if message.had_receipt_handle(receipt_handle):
            del queue._messages[number]
            queue.pending_messages.discard(message)
            queue.deleted_messages.update(message.all_receipt_handles)  # type: ignore[arg-type]
            return
    raise ReceiptHandleIsInvalid
