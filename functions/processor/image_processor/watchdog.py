"""Release an image just before Lambda kills the invocation that processes it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Timer
from types import TracebackType

from image_core.errors import Interrupted, Superseded
from image_core.lifecycle.act import release
from image_core.model import Record
from image_core.retry import FIRST_BACKOFF_SECONDS
from image_core.services import Services
from image_core.telemetry import attempt_interrupted

log = logging.getLogger(__name__)

RESERVE_SECONDS = 2.0
"""Time that is reserved for releasing an image: two calls that take milliseconds."""


class Watchdog:
    """Watches a block that may hang anywhere: in a decoder, in a call, in the model.

    `RESERVE_SECONDS` before the end of `seconds_left`, a thread releases the record given to `guard` and calls
    `retry_in` with the seconds after which the message should be delivered again. The block itself keeps running.
    If it finishes before the process is killed, its outcome counts, unless another worker has claimed the image.
    Raises `Interrupted` on entry if no time is left. Without `seconds_left` there is no limit.
    """

    def __init__(self, seconds_left: float | None, services: Services, retry_in: Callable[[float], None]) -> None:
        self._seconds = None if seconds_left is None else seconds_left - RESERVE_SECONDS
        self._services = services
        self._retry_in = retry_in
        self._record: Record | None = None
        self._timer: Timer | None = None

    def __enter__(self) -> Watchdog:
        if self._seconds is None:
            return self
        if self._seconds <= 0:
            raise Interrupted("the invocation has no time left", FIRST_BACKOFF_SECONDS)
        self._timer = Timer(self._seconds, self.time_is_up)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def guard(self, record: Record) -> None:
        """Release this record if time runs out."""
        self._record = record

    def time_is_up(self) -> None:
        """Release the guarded record and ask for the message to be delivered again."""
        wait_seconds: float | None = FIRST_BACKOFF_SECONDS
        if self._record is not None:
            log.error("an attempt takes too long", extra={"image_id": self._record.image_id})
            try:
                wait_seconds = release(self._record, self._services)
            except Superseded:
                return  # the attempt has just ended
            attempt_interrupted(TimeoutError())
        # None: the image has failed. Show the message again at once, so that the next receiver discards it.
        self._retry_in(wait_seconds or 0.0)
