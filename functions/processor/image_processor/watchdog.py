"""The end of an invocation's time: Lambda kills what is still running then, so the image is given back before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Timer
from types import TracebackType

from image_core.errors import Interrupted, Superseded
from image_core.model import Record
from image_core.retry import FIRST_RETRY_SECONDS
from image_core.services import Services
from image_processor.pipeline import give_back

log = logging.getLogger(__name__)

RESERVE_SECONDS = 2.0
"""What giving back is given: two calls that take milliseconds."""


class Watchdog:
    """Guards a block that may hang anywhere: in a decoder, in a call, in the model.

    `RESERVE_SECONDS` before the end of `seconds_left` a thread ends the attempt that `claimed` was told of, and
    calls `come_back` with the seconds after which the message should be seen again. The block itself goes on, and
    should it finish before the process is killed, its outcome counts, as long as nobody else has claimed the image.
    Raises `Interrupted` on entry where there is no time left at all.
    """

    def __init__(self, seconds_left: float, services: Services, come_back: Callable[[float], None]) -> None:
        self._seconds = seconds_left - RESERVE_SECONDS
        self._services = services
        self._come_back = come_back
        self._record: Record | None = None
        self._timer = Timer(max(0.0, self._seconds), self.bark)
        self._timer.daemon = True

    def __enter__(self) -> Watchdog:
        if self._seconds <= 0:
            raise Interrupted("the invocation has no time left", FIRST_RETRY_SECONDS)
        self._timer.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._timer.cancel()

    def claimed(self, record: Record) -> None:
        """This attempt is what is to be ended."""
        self._record = record

    def bark(self) -> None:
        """The time is nearly up."""
        wait_seconds: float | None = FIRST_RETRY_SECONDS
        if self._record is not None:
            log.error("an attempt takes longer than it may", extra={"image_id": self._record.image_id})
            try:
                wait_seconds = give_back(self._record, self._services)
            except Superseded:
                return  # it has just ended
        # Given up: the message has nothing left to do but to be dropped by whoever sees it next.
        self._come_back(wait_seconds or 0.0)
