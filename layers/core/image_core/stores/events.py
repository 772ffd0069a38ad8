"""The event bus: `PutEvents`, at least once. docs/events.md describes the events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SOURCE = "image-pipeline"
ENTRIES_PER_CALL = 10
"""EventBridge's limit. Its other limit is 256 KB per call: ten events are far below it (test_events.py)."""


@dataclass(frozen=True)
class Event:
    """One event. `time_ms` is when it happened, in ms since 1970. `detail` is sent to consumers."""

    detail_type: str
    time_ms: int
    detail: Mapping[str, Any]


class NotSent(Exception):
    """The bus accepted the first `accepted` events. Later ones may have been accepted too: send them again."""

    def __init__(self, accepted: int, reason: str) -> None:
        super().__init__(f"could not send events: {reason}")
        self.accepted = accepted


class EventBus:
    """The event bus of one stack. `client` is an EventBridge client."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def send(self, events: Sequence[Event]) -> None:
        """Send the events in order. Raises `NotSent` at the first one that the bus does not accept."""
        for first in range(0, len(events), ENTRIES_PER_CALL):
            entries = [self._entry(event) for event in events[first : first + ENTRIES_PER_CALL]]
            try:
                results = self._client.put_events(Entries=entries)["Entries"]
            except Exception as error:
                raise NotSent(first, type(error).__name__) from error
            for position, result in enumerate(results):
                if "ErrorCode" in result:
                    raise NotSent(first + position, result["ErrorCode"])

    def _entry(self, event: Event) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": event.detail_type,
            "Time": datetime.fromtimestamp(event.time_ms / 1000, UTC),
            "Detail": json.dumps(event.detail, ensure_ascii=False),
        }
