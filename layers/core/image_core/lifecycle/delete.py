"""Delete an image: original, thumbnails, record. Safe to repeat, and to run twice at the same time."""

from __future__ import annotations

import logging

from image_core.errors import Superseded
from image_core.keys import is_key_of, thumbnail_prefix
from image_core.model import Record, Status
from image_core.services import Services
from image_core.stores.queue import ObjectEvent

log = logging.getLogger(__name__)


def delete(record: Record, services: Services) -> None:
    """Mark the image as deleted unless it already is, then remove everything that belongs to it.

    Raises `Superseded` if the record has changed since it was read. Once the image is marked, the sweep finishes
    whatever this call could not.
    """
    _finish(record if record.status is Status.DELETING else mark(record, services), services)


def mark(record: Record, services: Services) -> Record:
    """Mark the image as deleted: it is hidden at once, and its removal can no longer be stopped."""
    return services.records.mark_deleting(record, deadline_seconds=services.settings.pending_timeout_seconds)


def mark_for_caller(record: Record, services: Services) -> Record:
    """`mark` for an API call: the deletion includes the object that is in the bucket now.

    That object may be newer than the processed version. A presigned URL that the caller still has becomes invalid.
    """
    return services.records.mark_deleting(
        record,
        deadline_seconds=services.settings.pending_timeout_seconds,
        stored=services.storage.head(record.key),
        ends_upload=True,
    )


def _finish(record: Record, services: Services) -> None:
    storage = services.storage
    stored = storage.head(record.key)
    if not is_key_of(record.image_id, storage.uploads_bucket, record.key):
        log.error("removing a record that names the original of another image; the original stays")
    elif stored is not None and record.deletion_covers(stored):
        storage.delete_original(stored)
    thumbnails = storage.list_thumbnails(thumbnail_prefix(record.image_id))
    # The record has not changed since the list was read, so no thumbnail in it is of a later image with this id.
    if services.records.get(record.image_id) != record:
        raise Superseded
    storage.delete_thumbnails(thumbnails)
    now_ms = services.clock.now_ms()
    upload_may_be_under_way = (record.version is None or record.upload_until > 0) and record.deadline > now_ms
    if upload_may_be_under_way or record.keeps_idempotency_key(now_ms):
        return  # the sweep removes the record after its deadline
    services.records.purge(record)
    if storage.head(record.key) is not None:
        # A new object was dropped during the deletion, and its event may have come too early.
        services.queue.send(ObjectEvent(storage.uploads_bucket, record.key))
