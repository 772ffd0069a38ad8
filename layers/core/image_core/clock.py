"""The clock of a function: the current time and sleeping. Tests replace it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Clock:
    """`now_ms` returns milliseconds since 1970; `sleep` waits for seconds."""

    now_ms: Callable[[], int] = _now_ms
    sleep: Callable[[float], None] = time.sleep
