"""Decide what to do about an image from its record, its object and the time. docs/state.md has the tables.

These functions are pure. `max_attempts` limits the claims of a version in one generation.
"""

from __future__ import annotations

from enum import Enum, auto

from image_core.errors import Busy
from image_core.keys import is_folder_marker
from image_core.model import Record, Status, StoredObject

_DELETION_SECONDS = 60.0
"""A deletion that is past its deadline waits for the sweep. Earlier retries would only become dead letters."""

MAX_POSTPONES = 8
"""How often the sweep requeues an image that no worker claims. Each wait is twice as long as the one before."""


class Decision(Enum):
    """What to do next."""

    NOTHING = auto()
    CLAIM = auto()
    DELETE = auto()
    GIVE_UP = auto()  # fail as `retries_exhausted`
    NEVER_ARRIVED = auto()  # fail as `upload_incomplete`
    UNREADABLE = auto()  # fail as `unreadable_object`
    PURGE = auto()
    REQUEUE = auto()  # send a message, postpone the deadline


def decide_event(record: Record | None, stored: StoredObject | None, *, now_ms: int, max_attempts: int) -> Decision:
    """Decide what to do about an event. Raises `Busy` if the event must be handled again later."""
    if stored is None:
        return _decide_absent(record)
    if is_folder_marker(stored.key, stored.size_bytes):
        return Decision.NOTHING
    if record is None:
        return _claim(stored)
    if record.status is Status.DELETING:
        wait_seconds = max(_DELETION_SECONDS, (record.deadline - now_ms) / 1000)
        raise Busy("the image is being deleted", wait_seconds)
    if record.is_finished_for(stored.version):
        return Decision.NOTHING
    if record.version == stored.version:
        if record.has_live_lease(now_ms):
            raise Busy("another worker holds the image", (record.lease_until - now_ms) / 1000)
        if record.status is Status.PROCESSING and record.attempts >= max_attempts:
            return Decision.GIVE_UP
    return _claim(stored)


def decide_dead_letter(
    record: Record | None,
    stored: StoredObject | None,
    *,
    letter_etag: str | None = None,
    sent_ms: int,
    now_ms: int,
    max_attempts: int,
) -> Decision:
    """Decide what to do about a message that was received too often.

    `letter_etag` is the ETag in the message (None if it has none). `sent_ms` is when it was first sent.
    Raises `Busy` if it must be handled again later.
    """
    decision = decide_event(record, stored, now_ms=now_ms, max_attempts=max_attempts)
    if stored is None or decision in (Decision.NOTHING, Decision.DELETE, Decision.UNREADABLE):
        return decision
    if letter_etag is not None and letter_etag != stored.etag:
        return Decision.NOTHING
    if letter_etag is None and (record is None or record.status is Status.RESERVED):
        # An earlier removal, or a reprocess request from before the file arrived: the file has an event of its own.
        return Decision.NOTHING
    if record is not None:
        # In the first generation every message counts: the message of a direct drop is older than its record.
        if record.generation > 1 and sent_ms < record.requested_ms:
            return Decision.NOTHING
        if record.status is Status.PROCESSING and record.attempts_at(stored.version) in range(1, max_attempts):
            return Decision.NOTHING
    return Decision.GIVE_UP


def decide_deadline(record: Record, stored: StoredObject | None, *, now_ms: int, max_attempts: int) -> Decision:
    """Decide what to do about a record whose deadline has passed."""
    if record.deadline > now_ms or record.status in (Status.SUCCESS, Status.FAILED):
        return Decision.NOTHING
    if record.status is Status.DELETING:
        return Decision.DELETE
    if stored is None:
        if record.status is Status.RESERVED:
            return Decision.PURGE
        return Decision.NEVER_ARRIVED if record.version is None else Decision.DELETE
    if not stored.is_readable:
        return Decision.UNREADABLE
    used_up = record.status is Status.PROCESSING and record.attempts_at(stored.version) >= max_attempts
    if used_up or record.postponed >= MAX_POSTPONES:
        return Decision.GIVE_UP
    return Decision.REQUEUE


def _claim(stored: StoredObject) -> Decision:
    return Decision.CLAIM if stored.is_readable else Decision.UNREADABLE


def _decide_absent(record: Record | None) -> Decision:
    if record is None:
        return Decision.NOTHING
    if record.status is Status.DELETING:
        return Decision.DELETE
    # Without a version, no object has ever arrived: the upload is still pending. If it never comes, the sweep acts.
    return Decision.NOTHING if record.version is None else Decision.DELETE
