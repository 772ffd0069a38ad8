"""Reprocess many images, such as failed ones after their cause is fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from image_core.errors import Superseded
from image_core.model import Record, Stage, Status
from image_core.services import Services
from image_core.stores.queries import Listing
from image_core.stores.queue import ObjectEvent
from ops.rate import RateLimit

_PAGE = 100


@dataclass
class Reprocessed:
    """How many images were checked, matched, and were reprocessed."""

    examined: int = 0
    matching: int = 0
    requeued: int = 0


def reprocess_record(record: Record, services: Services, stage: Stage = Stage.ALL, *, force: bool = False) -> None:
    """Reprocess an image as the API does: the transition, then the message. Raises `Superseded`.

    If the process ends between the two, the sweep sends the message.
    """
    seconds = services.settings.pending_timeout_seconds
    services.records.reprocess(record, pending_seconds=seconds, stage=stage, force=force)
    services.queue.send(ObjectEvent(services.storage.uploads_bucket, record.key))


def reprocess(
    services: Services,
    *,
    status: Status,
    code: str | None,
    stage: Stage,
    force: bool,
    apply: bool,
    limit: int | None,
    rate: RateLimit,
    done: Reprocessed,
    progress: Callable[[str, int], None] = lambda _, __: None,
) -> Reprocessed:
    """Reprocess images in `status`, newest first. With `code`, only those that failed with it. `done` is filled.

    `stage` says what is recreated; with `force`, captions are computed even if they could be copied.

    A reprocessed image leaves the list, so running this again continues an interrupted run.
    """
    for record in _records(services, status):
        done.examined += 1
        progress("images", 1)
        if code is not None and (record.error or {}).get("code") != code:
            continue
        if limit is not None and done.matching >= limit:
            break
        done.matching += 1
        if apply:
            rate.wait()
            try:
                reprocess_record(record, services, stage, force=force)
                done.requeued += 1
            except Superseded:
                continue  # another process is handling it
    return done


def _records(services: Services, status: Status) -> Iterator[Record]:
    cursor: str | None = None
    while True:
        page = services.records.read(Listing(status=status), limit=_PAGE, cursor=cursor)
        yield from page.records
        cursor = page.next_cursor
        if cursor is None:
            return
