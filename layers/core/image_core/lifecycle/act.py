"""Ending an attempt: the transition, then the thumbnails that no record names any more."""

from __future__ import annotations

from collections.abc import Callable

from image_core.keys import thumbnail_prefix
from image_core.model import Record
from image_core.services import Services
from image_core.telemetry import image_ended


def end(image_id: str, transition: Callable[[], Record], services: Services) -> Record:
    """Runs `transition` (finish, fail or give_up) and removes the thumbnails of earlier attempts.

    Their list is taken before the transition: that it succeeds proves that nobody had taken over until then, so the
    list holds no later attempt's thumbnails.
    """
    listed = services.storage.list_thumbnails(thumbnail_prefix(image_id))
    ended = transition()
    image_ended(ended)
    served = {info.key for info in ended.thumbnails.sizes.values()} if ended.thumbnails else set()
    services.storage.delete_thumbnails(key for key in listed if key not in served)
    return ended
