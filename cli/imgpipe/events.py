"""Events about images (docs/events.md), derived from two readings of the API.

The event bus of a stack cannot be reached over HTTP. Between two readings, only the last change of an image is
seen: if it was processed twice, the second time; if it was uploaded and deleted, nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from imgpipe.batches import for_each
from imgpipe.client import LARGEST_PAGE, Client
from imgpipe.errors import ImgpipeError, NotFound
from imgpipe.images import Image

PAUSE_SECONDS = 1.0
_SECONDS_A_CALL = 0.1
"""Reading a long list takes many calls. At most half of the time is spent on them."""
_JOBS = 8
_CAPTION_FIELDS = ("caption_confidence", "caption_flags", "caption_language")

Reading = Mapping[str, Image]
"""Images by id, the oldest first."""


async def follow_events(client: Client, ids: Sequence[str], on_event: Callable[[dict[str, Any]], None]) -> None:
    """Call `on_event` with the detail of each event from now on, about these images or, without ids, all images.

    Never returns. Raises what `Client.poll` raises, except `NotFound`.
    """
    before = await _read(client, ids)
    while True:
        calls = len(ids) or 1 + len(before) // LARGEST_PAGE
        await asyncio.sleep(max(PAUSE_SECONDS, _SECONDS_A_CALL * calls))
        after = dict(await _read(client, ids))
        if not ids:
            # A list is read page by page while images come and go, so only a request for the image shows that it is
            # gone.
            after |= await _read_existing(client, [image_id for image_id in before if image_id not in after])
        for detail in events_between(before, after, datetime.now(UTC)):
            on_event(detail)
        before = after


def events_between(before: Reading, after: Reading, now: datetime) -> list[dict[str, Any]]:
    """The details of the events between two readings. `now` is the time of the second one."""
    ended = [
        _detail(image, image.status, str(image.get("processed_at")))
        for image_id, image in after.items()
        if image.is_finished and (image_id not in before or _outcome(before[image_id]) != _outcome(image))
    ]
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return ended + [_detail(image, "deleted", time) for image_id, image in before.items() if image_id not in after]


def _outcome(image: Image) -> tuple[Any, ...]:
    return image.status, image.get("generation"), image.get("processed_at")


def _detail(image: Image, status: str, time: str) -> dict[str, Any]:
    is_there = status != "deleted"
    error = {"code": image.error_code, "message": image.error_message} if status == "failed" else None
    generation = image.get("generation") or 1
    return {
        "event_id": f"{image.image_id}-{generation}-{status}-{time if is_there else image.get('created_at')}",
        "image_id": image.image_id,
        "status": status,
        "generation": generation,
        "time": time,
        "caption": image.caption if is_there else None,
        **{name: image.metadata.get(name) if is_there else None for name in _CAPTION_FIELDS},
        "alt_text": image.get("alt_text") if is_there else None,
        "thumbnails": dict(image.thumbnails) if is_there else {},
        "error": error,
    }


async def _read(client: Client, ids: Sequence[str]) -> Reading:
    if ids:
        return await _read_existing(client, ids)
    newest_first = [image async for image in client.images()]
    return {image.image_id: image for image in reversed(newest_first)}


async def _read_existing(client: Client, ids: Sequence[str]) -> dict[str, Image]:
    """Read these images. Missing ones are left out."""
    found: dict[str, Image] = {}

    async def read(image_id: str) -> None:
        try:
            found[image_id] = await client.image(image_id)
        except NotFound:
            return

    await for_each(ids, read, jobs=_JOBS, failed=_raised)
    return {image_id: found[image_id] for image_id in ids if image_id in found}


def _raised(_: str, error: ImgpipeError) -> None:
    raise error
