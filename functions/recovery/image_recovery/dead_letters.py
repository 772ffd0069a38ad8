"""Dead letters: messages that the processor received too often. The image ends as `failed`, visibly."""

from __future__ import annotations

import logging

from image_core.errors import Busy, RetriesExhausted, Superseded
from image_core.keys import is_folder_marker
from image_core.lifecycle.decide import Decision, decide_dead_letter
from image_core.lifecycle.delete import delete
from image_core.lifecycle.state import look_at_key
from image_core.services import Services
from image_core.stores.queue import Look
from image_core.telemetry import count, note
from image_recovery.sweep import give_up

log = logging.getLogger(__name__)

_LOOKS = 5


def bury(look: Look, sent_ms: int, services: Services) -> None:
    """Ends the image that a dead letter is about, unless it is somebody's still.

    `sent_ms`: when the message was first sent. Raises `Busy` where it must be looked at again later.
    """
    if look.bucket != services.storage.uploads_bucket:
        return
    for _ in range(_LOOKS):
        try:
            _bury_once(look, sent_ms, services)
        except Superseded:
            continue
        return
    raise Busy("the record keeps changing", 1.0)


def _bury_once(look: Look, sent_ms: int, services: Services) -> None:
    sighting = look_at_key(look.key, services)
    record, stored = sighting.record, sighting.stored
    if stored is not None and is_folder_marker(look.key, stored.size_bytes):
        return
    note(image_id=sighting.image_id, request_id=record.request_id if record else None)
    now_ms = services.records.now_ms()
    decision = decide_dead_letter(
        record,
        stored,
        letter_etag=look.etag,
        sent_ms=sent_ms,
        now_ms=now_ms,
        max_attempts=services.settings.max_attempts,
    )
    count("Recovered", outcome=f"dead_letter_{decision.name.lower()}")
    if decision is Decision.GIVE_UP:
        give_up(sighting.record_or_new(look.key, now_ms), stored, RetriesExhausted(), services)
    elif decision is Decision.DELETE:
        assert record is not None
        delete(record, services)
