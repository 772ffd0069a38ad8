"""Actions of the engine that end an attempt or request another one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from image_core.errors import ImageError, RetriesExhausted, Superseded
from image_core.keys import thumbnail_prefix
from image_core.lifecycle.delete import delete
from image_core.model import Outcome, Record, StoredObject
from image_core.retry import backoff_seconds
from image_core.services import Services
from image_core.stores.queue import ObjectEvent
from image_core.telemetry import image_ended

log = logging.getLogger(__name__)


def succeed(record: Record, outcome: Outcome, services: Services) -> Record:
    """End the worker's own attempt as `success`."""
    return _end(record.image_id, lambda: services.records.finish(record, outcome), services)


def fail(record: Record, error: ImageError, services: Services) -> Record:
    """End the worker's own attempt as `failed`."""
    return _end(record.image_id, lambda: services.records.fail(record, error), services)


def give_up(record: Record, stored: StoredObject | None, error: ImageError, services: Services) -> Record:
    """Fail an image that no worker holds."""
    failed = _end(record.image_id, lambda: services.records.give_up(record, stored, error), services)
    log.warning("image given up", extra={"code": error.code})
    if stored is not None and record.version is None and services.storage.head(record.key) is None:
        # The object was removed after this state was loaded. The event of that removal found a record without a
        # version, so it did nothing.
        delete(failed, services)
    return failed


def release(record: Record, services: Services) -> float | None:
    """End the worker's own attempt without an outcome, so that the next one can begin. Saved results stay.

    Returns the seconds to wait before that attempt, or None if this was the last one and the image has failed.
    Raises `Superseded`.
    """
    settings = services.settings
    if record.attempts >= settings.max_attempts:
        fail(record, RetriesExhausted(), services)
        return None
    wait_seconds = backoff_seconds(record.attempts, record.attempt or "")
    try:
        services.records.release(
            record, retry_seconds=wait_seconds, pending_seconds=settings.pending_timeout_seconds
        )
    except Superseded:
        raise
    except Exception:
        # The next worker waits until the lease expires.
        log.exception("could not release a lease")
    return wait_seconds


def requeue(record: Record, services: Services) -> None:
    """Send a message about the image and postpone its deadline."""
    # The message is sent first: after a crash between the two steps, the next sweep sends a second message. In the
    # other order, the message would be missing.
    services.queue.send(ObjectEvent(services.storage.uploads_bucket, record.key))
    services.records.postpone(record, deadline_seconds=services.settings.pending_timeout_seconds)


def _end(image_id: str, transition: Callable[[], Record], services: Services) -> Record:
    """Run `transition`, then delete the thumbnails of earlier attempts.

    They are listed before the transition. Its success proves that no other worker had claimed the image by then, so
    the list contains no thumbnails of later attempts.
    """
    listed = services.storage.list_thumbnails(thumbnail_prefix(image_id))
    ended = transition()
    image_ended(ended)
    served = {info.key for info in ended.thumbnails.sizes.values()} if ended.thumbnails else set()
    services.storage.delete_thumbnails(key for key in listed if key not in served)
    return ended
