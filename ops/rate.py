"""A rate limit per second."""

from __future__ import annotations

from collections.abc import Callable


class RateLimit:
    """Spaces calls of `wait` evenly. A `per_second` of None means no limit. `now_ms` and `sleep` as in
    `Records`."""

    def __init__(
        self, per_second: float | None, *, now_ms: Callable[[], int], sleep: Callable[[float], None]
    ) -> None:
        self._interval_ms = 1000 / per_second if per_second else 0.0
        self._now_ms = now_ms
        self._sleep = sleep
        self._next_ms = 0.0

    def wait(self) -> None:
        """Wait until the next call is allowed."""
        now_ms = self._now_ms()
        due_ms = max(self._next_ms, now_ms)
        if due_ms > now_ms:
            self._sleep((due_ms - now_ms) / 1000)
        self._next_ms = due_ms + self._interval_ms
