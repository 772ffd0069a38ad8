"""What an event comes to: look at the key, decide, act."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from image_core.errors import Busy, RetriesExhausted, Superseded
from image_core.keys import is_folder_marker
from image_core.lifecycle.act import end
from image_core.lifecycle.decide import Decision, decide_event
from image_core.lifecycle.delete import delete
from image_core.lifecycle.state import Sighting, look_at_key
from image_core.model import Record
from image_core.services import Services
from image_core.stores.queue import Look
from image_core.telemetry import note
from image_processor.captioning import Captioner
from image_processor.pipeline import process

log = logging.getLogger(__name__)

_LOOKS = 5
"""An image that changes under every one of these looks has others who care for it; the queue brings it back."""


def look_at(
    look: Look,
    services: Services,
    captioner: Callable[[], Captioner],
    beside: Executor,
    claimed: Callable[[Record], None] = lambda _: None,
) -> None:
    """Does what the state of `look.key` asks for now; `claimed` is told of the record if this worker claims it.

    Raises `LookAgain` where it must be looked at again later.
    """
    if look.bucket != services.storage.uploads_bucket:
        log.warning("an event of another bucket was ignored")
        return
    for _ in range(_LOOKS):
        try:
            _act(look.key, look_at_key(look.key, services), services, captioner, beside, claimed)
        except Superseded:
            continue
        return
    raise Busy("the record keeps changing", 1.0)


def _act(
    key: str,
    sighting: Sighting,
    services: Services,
    captioner: Callable[[], Captioner],
    beside: Executor,
    claimed: Callable[[Record], None],
) -> None:
    record, stored = sighting.record, sighting.stored
    if stored is not None and is_folder_marker(key, stored.size_bytes):
        return
    note(image_id=sighting.image_id, request_id=record.request_id if record else None)
    now_ms = services.records.now_ms()
    decision = decide_event(record, stored, now_ms=now_ms, max_attempts=services.settings.max_attempts)
    if decision is Decision.CLAIM:
        assert stored is not None
        ours = services.records.claim(
            sighting.record_or_new(key, now_ms), stored, lease_seconds=services.settings.lease_seconds
        )
        claimed(ours)
        process(ours, stored, services, captioner, beside)
    elif decision is Decision.DELETE:
        assert record is not None
        delete(record, services)
    elif decision is Decision.GIVE_UP:
        assert record is not None
        end(
            record.image_id,
            partial(services.records.give_up, record, stored, RetriesExhausted()),
            services,
        )
