"""Carrying a deletion through: original, thumbnails, record. Safe to run again, and by two at once."""

from __future__ import annotations

from image_core.errors import Superseded
from image_core.keys import thumbnail_prefix
from image_core.model import Record, Status, StoredObject
from image_core.services import Services
from image_core.stores.queue import Look


def delete(record: Record, services: Services) -> None:
    """Marks the image as deleted, if it is not yet, and removes what belongs to it.

    Raises `Superseded` if the record has changed since it was read; once it is marked, the sweep finishes whatever
    this call could not.
    """
    _finish(record if record.status is Status.DELETING else mark(record, services), services)


def mark(record: Record, services: Services, stored: StoredObject | None = None) -> Record:
    """Marks the image as deleted: from now on nobody sees it, and nothing can stop its removal.

    `stored` is the object that is to go, where somebody asked for that: it may be newer than what was processed.
    """
    return services.records.mark_deleting(
        record, deadline_seconds=services.settings.pending_timeout_seconds, stored=stored
    )


def _finish(record: Record, services: Services) -> None:
    storage = services.storage
    stored = storage.head(record.key)
    if stored is not None and record.version in (None, stored.version):
        storage.delete_original(stored)
    thumbnails = storage.list_thumbnails(thumbnail_prefix(record.image_id))
    # Still ours after the list was taken: so nothing in it is a later image's of the same id.
    if services.records.get(record.image_id) != record:
        raise Superseded
    storage.delete_thumbnails(thumbnails)
    now_ms = services.records.now_ms()
    upload_may_be_under_way = record.version is None and record.deadline > now_ms
    if upload_may_be_under_way or record.remembers_its_request(now_ms):
        return  # the sweep forgets it past its deadline
    services.records.forget(record)
    if storage.head(record.key) is not None:
        # Dropped anew while its predecessor was being deleted: its event may have come too early.
        services.queue.send(Look(storage.uploads_bucket, record.key))
