"""What to do about an image, from its record, what lies in the bucket, and the time: docs/state.md's tables."""

from __future__ import annotations

from enum import Enum, auto

from image_core.errors import Busy
from image_core.model import Record, Status, StoredObject

_DELETION_SECONDS = 60.0
"""A deletion that is past its deadline waits for the sweep; looking more often only makes dead letters."""

MAX_POSTPONES = 8
"""Looks of the sweep at an image that nobody works on; each comes after twice the time of the one before."""


class Decision(Enum):
    """What is to be done next."""

    NOTHING = auto()
    CLAIM = auto()
    DELETE = auto()
    GIVE_UP = auto()  # fail as `retries_exhausted`
    NEVER_ARRIVED = auto()  # fail as `upload_incomplete`
    FORGET = auto()
    LOOK_AGAIN = auto()  # message, postpone


def decide_event(record: Record | None, stored: StoredObject | None, *, now_ms: int, max_attempts: int) -> Decision:
    """What an event about this key asks for. Raises `Busy` where it must be looked at again later."""
    if stored is None:
        return _decide_absent(record)
    if record is None:
        return Decision.CLAIM
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
    return Decision.CLAIM


def decide_dead_letter(
    record: Record | None,
    stored: StoredObject | None,
    *,
    letter_etag: str | None = None,
    sent_ms: int,
    now_ms: int,
    max_attempts: int,
) -> Decision:
    """What a message that was received too often asks for.

    `letter_etag` is the ETag in the message (None where it names none), `sent_ms` when it was first sent.
    Raises `Busy` where it must be looked at again later.
    """
    if decide_event(record, stored, now_ms=now_ms, max_attempts=max_attempts) is Decision.DELETE:
        return Decision.DELETE
    if stored is None or (record is not None and record.is_finished_for(stored.version)):
        return Decision.NOTHING
    if letter_etag is not None and letter_etag != stored.etag:
        return Decision.NOTHING
    if record is not None:
        # In the first generation every message counts: a direct drop's is older than its record.
        if record.generation > 1 and sent_ms < record.requested_ms:
            return Decision.NOTHING
        if record.status is Status.PROCESSING and record.attempts_at(stored.version) in range(1, max_attempts):
            return Decision.NOTHING
    return Decision.GIVE_UP


def decide_sweep(record: Record, stored: StoredObject | None, *, now_ms: int, max_attempts: int) -> Decision:
    """What the sweep does about a record whose deadline is past."""
    if record.deadline > now_ms or record.status in (Status.SUCCESS, Status.FAILED):
        return Decision.NOTHING
    if record.status is Status.DELETING:
        return Decision.DELETE
    if stored is None:
        if record.status is Status.RESERVED:
            return Decision.FORGET
        return Decision.NEVER_ARRIVED if record.version is None else Decision.DELETE
    used_up = record.status is Status.PROCESSING and record.attempts_at(stored.version) >= max_attempts
    if used_up or record.postponed >= MAX_POSTPONES:
        return Decision.GIVE_UP
    return Decision.LOOK_AGAIN


def _decide_absent(record: Record | None) -> Decision:
    if record is None:
        return Decision.NOTHING
    if record.status is Status.DELETING:
        return Decision.DELETE
    # Without a version no object was ever seen: the upload is still to come, and the sweep judges that.
    return Decision.NOTHING if record.version is None else Decision.DELETE
