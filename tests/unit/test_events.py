"""Which change of a record sends which event, and that the event's detail matches docs/events.schema.json."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from image_core.model import PUBLIC_STATUSES, Record, Status
from image_core.stores.events import Event, EventBus, NotSent
from image_stream.events import event_of
from local.template import ROOT
from tests.unit.core.builders import DIGEST, IMAGE_ID, NOW_MS, record, thumbnails

SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text(encoding="utf-8"))
ERROR = {"code": "corrupt_image", "message": "The image is damaged or incomplete."}
STATUSES = [None, *Status]


def image(status: Status | None, **fields: Any) -> Record | None:
    """Return a record with that status."""
    if status is None:
        return None
    ended: dict[str, Any] = {"caption": "a lake"}
    if status in (Status.SUCCESS, Status.FAILED):
        ended |= {"finished_version": "v1", "finished_generation": 1, "processed_ms": NOW_MS}
    error = ERROR if status is Status.FAILED else None
    return record(status=status, error=error, version="v1", **(ended | fields))


def caused(old: Record | None, new: Record | None) -> Event | None:
    event = event_of(old, new, written_ms=NOW_MS + 5000, api_url="https://api.example")
    if event is not None:
        Draft202012Validator(SCHEMA).validate(event.detail)
        assert set(event.detail) == set(SCHEMA["properties"])
    return event


@pytest.mark.parametrize("old", STATUSES)
@pytest.mark.parametrize("new", STATUSES)
def test_an_event_is_sent_when_an_image_finishes_and_when_a_public_one_is_deleted(
    old: Status | None, new: Status | None
) -> None:
    expected = None
    if new is not old:
        expected = {Status.SUCCESS: "ImageProcessed", Status.FAILED: "ImageFailed"}.get(new) if new else None
        if old in PUBLIC_STATUSES and new in (None, Status.DELETING):
            expected = "ImageDeleted"
    event = caused(image(old), image(new))
    assert (event and event.detail_type) == expected


@pytest.mark.parametrize(
    ("change", "causes"),
    [
        ({"title": "Lake"}, False),
        ({"finished_version": "v2", "processed_ms": NOW_MS + 1}, True),
        ({"finished_generation": 2, "generation": 2}, True),
    ],
)
def test_an_image_that_finishes_again_with_the_same_status_sends_another_event(
    change: dict[str, Any], causes: bool
) -> None:
    before = image(Status.FAILED)
    assert before is not None
    assert (caused(before, replace(before, rev=2, **change)) is not None) is causes


def test_the_detail_contains_what_the_api_returns() -> None:
    caption_fields = {"caption_confidence": 0.3, "caption_flags": ("low_confidence",), "caption_language": "en"}
    new = image(Status.SUCCESS, rev=7, thumbnails=thumbnails(), alt_text="A lake", generation=2, **caption_fields)
    event = caused(image(Status.PROCESSING), new)
    assert event is not None
    assert event.time_ms == NOW_MS
    assert event.detail == {
        "event_id": f"{IMAGE_ID}-7-success",
        "image_id": IMAGE_ID,
        "status": "success",
        "generation": 2,
        "time": "2026-11-20T10:00:00Z",
        "caption": "a lake",
        "caption_confidence": 0.3,
        "caption_flags": ["low_confidence"],
        "caption_language": "en",
        "alt_text": "A lake",
        "thumbnails": {
            size: f"https://api.example/api/images/{IMAGE_ID}/thumbnails/{size}?v={DIGEST}"
            for size in ("small", "medium")
        },
        "error": None,
    }


def test_the_event_of_a_deletion_contains_nothing_of_the_image() -> None:
    texts: dict[str, Any] = {"alt_text": "A lake", "caption_confidence": 0.3, "caption_flags": ()}
    event = caused(image(Status.SUCCESS), image(Status.DELETING, rev=8, thumbnails=thumbnails(), **texts))
    assert event is not None
    assert (event.detail["event_id"], event.detail["time"]) == (f"{IMAGE_ID}-8-deleted", "2026-11-20T10:00:05Z")
    content = event.detail.keys() - {"event_id", "image_id", "status", "generation", "time", "thumbnails"}
    assert all(event.detail[name] is None for name in content)
    assert event.detail["thumbnails"] == {}


class Bus:
    """An EventBridge client that refuses the entries with these numbers."""

    def __init__(self, *refused: int) -> None:
        self.calls: list[list[int]] = []
        self._refused = refused

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        numbers = [json.loads(entry["Detail"])["number"] for entry in Entries]
        self.calls.append(numbers)
        results = [{"ErrorCode": "InternalFailure"} if n in self._refused else {"EventId": str(n)} for n in numbers]
        return {"FailedEntryCount": len(set(numbers) & set(self._refused)), "Entries": results}


EVENTS = [Event("ImageProcessed", NOW_MS, {"number": number}) for number in range(23)]


def test_events_are_sent_ten_at_a_time() -> None:
    bus = Bus()
    EventBus(bus, "bus").send(EVENTS)
    assert bus.calls == [list(range(10)), list(range(10, 20)), [20, 21, 22]]


def test_sending_stops_after_the_call_with_a_refused_event_and_returns_that_event() -> None:
    bus = Bus(13, 17)
    with pytest.raises(NotSent) as error:
        EventBus(bus, "bus").send(EVENTS)
    assert error.value.accepted == 13
    assert len(bus.calls) == 2


def test_the_largest_events_fit_into_one_call() -> None:
    new = image(
        Status.SUCCESS,
        caption="\N{GRINNING FACE}" * 200,
        alt_text='\N{GRINNING FACE}"' * 1000,
        thumbnails=thumbnails(),
    )
    event = caused(None, new)
    assert event is not None
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html: 256 KB for all entries
    assert 10 * len(json.dumps(event.detail, ensure_ascii=False).encode()) < 256 * 1024
