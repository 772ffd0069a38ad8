"""The event of a change to a record: a pure function of the record before and after.

Nothing else is read, so a change that is delivered late, twice or out of order causes the same event.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from image_core.model import PUBLIC_STATUSES, Record, Status
from image_core.stores.events import Event

_DETAIL_TYPES = {Status.SUCCESS: "ImageProcessed", Status.FAILED: "ImageFailed"}
_DELETED = "ImageDeleted"


def event_of(old: Record | None, new: Record | None, *, written_ms: int, api_url: str) -> Event | None:
    """Return the event of a change from `old` to `new`, or None. A record of None means that there is no record.

    `written_ms` is when the change was written. Thumbnail URLs begin with `api_url`.
    """
    if new is not None and new.status in _DETAIL_TYPES:
        if old is not None and _outcome(old) == _outcome(new):
            return None
        time_ms = new.processed_ms or written_ms
        return Event(_DETAIL_TYPES[new.status], time_ms, _detail(new, new.status, time_ms, api_url))
    # A reservation was never visible, so its end is not a deletion. A `deleting` record was reported when it was
    # marked.
    if old is not None and old.status in PUBLIC_STATUSES and (new is None or new.status is Status.DELETING):
        return Event(_DELETED, written_ms, _detail(new or old, "deleted", written_ms, api_url))
    return None


def _outcome(record: Record) -> tuple[Any, ...]:
    """Values that differ between two outcomes, and do not change when the title is edited."""
    return record.status, record.finished_generation, record.finished_version, record.processed_ms


def _detail(record: Record, status: str, time_ms: int, api_url: str) -> dict[str, Any]:
    """The event's `detail`, see docs/events.schema.json. For a deleted image, it has no content of the image."""
    is_there = status != "deleted"
    thumbnails = record.thumbnails if is_there else None
    return {
        # `rev` differs for each write of a record, so a repeated event has the same id and no other event has it.
        "event_id": f"{record.image_id}-{record.rev}-{status}",
        "image_id": record.image_id,
        "status": status,
        "generation": record.generation,
        "time": datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "caption": record.caption if is_there else None,
        "caption_confidence": record.caption_confidence if is_there else None,
        "caption_flags": list(record.caption_flags) if is_there and record.caption_flags is not None else None,
        "caption_language": record.caption_language if is_there else None,
        "alt_text": record.alt_text if is_there else None,
        "thumbnails": {
            size: f"{api_url}/api/images/{record.image_id}/thumbnails/{size}{info.query}"
            for size, info in (thumbnails.sizes if thumbnails else {}).items()
        },
        "error": dict(record.error) if record.error and is_there else None,
    }
