"""Follow images until they are processed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from imgpipe.batches import for_each
from imgpipe.client import Client
from imgpipe.errors import ImgpipeError, NotFound
from imgpipe.images import Image

_PAUSE_SECONDS = 1.0
_SECONDS_A_CALL = 0.05
"""Thousands of images are polled at 20 per second, so that waiting does not load the API."""
_JOBS = 8

OnImage = Callable[[str, Image | None], None]


async def follow(client: Client, ids: Sequence[str], on_image: OnImage) -> dict[str, Image | None]:
    """Poll each image until all are finished, and call `on_image` with each result (None: it is gone).

    Ids are in the order of age, oldest first. Respects the API's `Retry-After`. Raises what `Client.poll` raises,
    except `NotFound`.
    """
    last: dict[str, Image | None] = dict.fromkeys(ids)
    unfinished = list(last)
    while unfinished:
        remaining: list[str] = []
        delays: list[float] = []

        async def poll_one(image_id: str, remaining: list[str] = remaining, delays: list[float] = delays) -> None:
            try:
                image, delay = await client.poll(image_id)
            except NotFound:
                last[image_id] = None
                on_image(image_id, None)
                return
            last[image_id] = image
            on_image(image_id, image)
            if not image.is_finished:
                remaining.append(image_id)
                delays.append(delay or 0.0)

        await for_each(unfinished, poll_one, jobs=_JOBS, failed=_raised)
        unfinished = [image_id for image_id in unfinished if image_id in set(remaining)]
        if unfinished:
            await asyncio.sleep(max(_PAUSE_SECONDS, min(delays), _SECONDS_A_CALL * len(unfinished)))
    return last


def _raised(_: str, error: ImgpipeError) -> None:
    raise error
