"""`imgpipe.events`: the events that follow from two consecutive readings of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from imgpipe.events import events_between
from imgpipe.images import Image
from tests.cli.command import IMAGE_ID

NOW = datetime(2026, 11, 20, 10, 0, 9, tzinfo=UTC)


def reading(status: str | None, **data: Any) -> dict[str, Image]:
    """Return a reading with one image of that status, or with none."""
    if status is None:
        return {}
    finished = "2026-11-20T10:00:01Z" if status in ("success", "failed") else None
    fields = {"image_id": IMAGE_ID, "generation": 1, "created_at": "2026-11-20T10:00:00Z", "processed_at": finished}
    error = {"code": "corrupt_image", "message": "It is damaged."} if status == "failed" else None
    return {IMAGE_ID: Image({"status": status, "data": fields | data, "error": error})}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "pending", []),
        (None, "success", ["success"]),
        ("processing", "failed", ["failed"]),
        ("success", "success", []),
        ("success", "pending", []),
        ("failed", "success", ["success"]),
        ("success", None, ["deleted"]),
        ("pending", None, ["deleted"]),
    ],
)
def test_an_image_that_finishes_between_two_readings_is_an_event(
    before: str | None, after: str | None, expected: list[str]
) -> None:
    assert [event["status"] for event in events_between(reading(before), reading(after), NOW)] == expected


@pytest.mark.parametrize(
    ("change", "is_event"),
    [({"generation": 2}, True), ({"processed_at": "2026-11-20T10:00:05Z"}, True), ({"alt_text": "A lake"}, False)],
)
def test_finishing_again_with_the_same_status_is_an_event(change: dict[str, Any], is_event: bool) -> None:
    events = events_between(reading("success"), reading("success", **change), NOW)
    assert bool(events) is is_event
    assert (
        len({event["event_id"] for event in [*events, *events_between({}, reading("success"), NOW)]})
        == 1 + is_event
    )


def test_the_event_of_a_deletion_has_the_time_of_the_reading() -> None:
    (event,) = events_between(reading("success"), {}, NOW)
    assert (event["time"], event["thumbnails"], event["caption"]) == ("2026-11-20T10:00:09Z", {}, None)
