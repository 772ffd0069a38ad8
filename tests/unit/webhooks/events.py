"""Events about images, as EventBridge sends them to a queue."""

from __future__ import annotations

import json
from typing import Any

from image_core.model import Status
from image_core.stores.events import SOURCE
from image_stream.events import event_of
from tests.unit.core.builders import NOW_MS, record


def bus_event(**fields: Any) -> str:
    """Return the message of an image that was processed. `fields` are those of its record."""
    shown: dict[str, Any] = {"status": Status.SUCCESS, "caption": "ein See é 🦊", "finished_generation": 1}
    event = event_of(
        None,
        record(**(shown | {"processed_ms": NOW_MS} | fields)),
        written_ms=NOW_MS,
        api_url="https://api.example",
    )
    assert event is not None
    return json.dumps(
        {
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": event.detail_type,
            "source": SOURCE,
            "account": "123456789012",
            "time": "2026-11-20T10:00:00Z",
            "region": "eu-west-1",
            "resources": [],
            "detail": event.detail,
        }
    )
