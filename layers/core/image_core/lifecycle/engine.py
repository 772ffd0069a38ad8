"""Bring one image up to date: load its state, decide, act.

Three triggers run the engine: an event about an object in the bucket, a dead letter, and a deadline that has
passed. A trigger does not say what to do. The engine decides that from the current record and object, so duplicate,
late and reordered triggers change nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from image_core.errors import Busy, RetriesExhausted, UnreadableObject, UploadIncomplete
from image_core.lifecycle import act
from image_core.lifecycle.decide import Decision, decide_dead_letter, decide_deadline, decide_event
from image_core.lifecycle.delete import delete
from image_core.lifecycle.retries import until_settled
from image_core.lifecycle.state import ImageState, load_state, load_state_by_id
from image_core.model import Record, StoredObject
from image_core.services import Services
from image_core.stores.queue import ObjectEvent
from image_core.telemetry import note

log = logging.getLogger(__name__)

OnClaim = Callable[[Record, StoredObject], None]
Load = Callable[[], ImageState | None]
Decide = Callable[[ImageState, int], Decision]


def handle_event(event: ObjectEvent, services: Services, on_claim: OnClaim) -> Decision:
    """Handle an event about an object. `on_claim` processes the image if this call claims it.

    Raises `RetryLater` if the event must be handled again later.
    """
    if event.bucket != services.storage.uploads_bucket:
        log.warning("ignored an event from another bucket")
        return Decision.NOTHING

    def decide(state: ImageState, now_ms: int) -> Decision:
        return decide_event(state.record, state.stored, now_ms=now_ms, max_attempts=services.settings.max_attempts)

    return _run(partial(load_state, event.key, services), decide, services, on_claim)


def handle_dead_letter(event: ObjectEvent, sent_ms: int, services: Services) -> Decision:
    """Handle an event whose message was received too often; `sent_ms` is when the message was first sent.

    Raises `RetryLater` if the message must be handled again later.
    """
    if event.bucket != services.storage.uploads_bucket:
        return Decision.NOTHING

    def decide(state: ImageState, now_ms: int) -> Decision:
        return decide_dead_letter(
            state.record,
            state.stored,
            letter_etag=event.etag,
            sent_ms=sent_ms,
            now_ms=now_ms,
            max_attempts=services.settings.max_attempts,
        )

    return _run(partial(load_state, event.key, services), decide, services)


def handle_deadline(image_id: str, services: Services) -> Decision:
    """Handle a record whose deadline has passed. Raises `RetryLater` if the record keeps changing."""

    def decide(state: ImageState, now_ms: int) -> Decision:
        assert state.record is not None
        return decide_deadline(
            state.record, state.stored, now_ms=now_ms, max_attempts=services.settings.max_attempts
        )

    return _run(partial(load_state_by_id, image_id, services), decide, services)


def _run(load: Load, decide: Decide, services: Services, on_claim: OnClaim | None = None) -> Decision:
    def once() -> Decision:
        state = load()
        if state is None:
            return Decision.NOTHING
        record = state.record
        note(image_id=state.image_id, request_id=record.request_id if record else None)
        now_ms = services.clock.now_ms()
        decision = decide(state, now_ms)
        _act(decision, state, now_ms, services, on_claim)
        return decision

    return until_settled(once, busy=lambda: Busy("the record keeps changing", 1.0))


def _act(decision: Decision, state: ImageState, now_ms: int, services: Services, on_claim: OnClaim | None) -> None:
    record, stored = state.record_or_new(now_ms, services.settings.upload_seconds), state.stored
    match decision:
        case Decision.CLAIM:
            assert stored is not None and on_claim is not None
            claimed = services.records.claim(record, stored, lease_seconds=services.settings.lease_seconds)
            on_claim(claimed, stored)
        case Decision.DELETE:
            delete(record, services)
        case Decision.GIVE_UP:
            act.give_up(record, stored, RetriesExhausted(), services)
        case Decision.NEVER_ARRIVED:
            act.give_up(record, stored, UploadIncomplete(), services)
        case Decision.UNREADABLE:
            act.give_up(record, stored, UnreadableObject(), services)
        case Decision.PURGE:
            services.records.purge(record)
        case Decision.REQUEUE:
            act.requeue(record, services)
        case Decision.NOTHING:
            pass
