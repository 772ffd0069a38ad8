"""The scheduled sweep: whatever has made no progress until its deadline is brought on, or ended."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial

from image_core.errors import ImageError, RetriesExhausted, Superseded, UploadIncomplete
from image_core.lifecycle.act import end
from image_core.lifecycle.decide import Decision, decide_sweep
from image_core.lifecycle.delete import delete
from image_core.model import UNFINISHED_STATUSES, Record, StoredObject
from image_core.services import Services
from image_core.stores.queue import Look
from image_core.telemetry import count, note, observed

log = logging.getLogger(__name__)


def sweep(services: Services, *, may_go_on: Callable[[], bool] = lambda: True) -> Counter[str]:
    """Looks at every record past its deadline; how often each decision was taken, by name.

    `may_go_on` is asked before each record, so that the function ends within its time; the next sweep goes on. One
    record's fault does not keep the others from being looked at: it is raised at the end.
    """
    taken: Counter[str] = Counter()
    faults: list[Exception] = []
    for status in UNFINISHED_STATUSES:
        for image_id in services.records.overdue(status, services.records.now_ms()):
            if not may_go_on():
                return taken
            try:
                with observed(image_id=image_id):
                    taken[sweep_image(image_id, services).name.lower()] += 1
            except Superseded:
                continue  # somebody is at it, which is all that the sweep wants
            except Exception as fault:
                log.exception("the sweep could not deal with an image", extra={"image_id": image_id})
                faults.append(fault)
    if faults:
        raise ExceptionGroup("the sweep could not deal with some images", faults)
    return taken


def sweep_image(image_id: str, services: Services) -> Decision:
    """Does what docs/state.md's table says about one record. Raises `Superseded` if it moves on meanwhile."""
    record = services.records.get(image_id)
    if record is None:
        return Decision.NOTHING
    note(request_id=record.request_id)
    stored = services.storage.head(record.key)
    decision = decide_sweep(
        record,
        stored,
        now_ms=services.records.now_ms(),
        max_attempts=services.settings.max_attempts,
    )
    _act(decision, record, stored, services)
    count("Recovered", outcome=f"sweep_{decision.name.lower()}")
    return decision


def _act(decision: Decision, record: Record, stored: StoredObject | None, services: Services) -> None:
    records, settings = services.records, services.settings
    if decision is Decision.LOOK_AGAIN:
        # The message first: if this dies in between, the next sweep sends one more, and none is missing.
        services.queue.send(Look(services.storage.uploads_bucket, record.key))
        records.postpone(record, deadline_seconds=settings.pending_timeout_seconds)
    elif decision is Decision.GIVE_UP:
        give_up(record, stored, RetriesExhausted(), services)
    elif decision is Decision.NEVER_ARRIVED:
        give_up(record, stored, UploadIncomplete(), services)
    elif decision is Decision.FORGET:
        records.forget(record)
    elif decision is Decision.DELETE:
        delete(record, services)


def give_up(record: Record, stored: StoredObject | None, fault: ImageError, services: Services) -> None:
    """fail, for a record that no worker holds."""
    failed = end(record.image_id, partial(services.records.give_up, record, stored, fault), services)
    log.warning("image given up", extra={"code": fault.code})
    if stored is not None and record.version is None and services.storage.head(record.key) is None:
        # Removed since it was seen: the event of that found no record with a version, and nothing to do.
        delete(failed, services)
