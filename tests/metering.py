"""CPU time and peak memory of this process and of its decoding process. Linux only."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from image_processor.picture import isolated


class Meter:
    """Measures from its creation on.

    A decoding process that ends meanwhile counts with its peak only if that is the highest of all ended processes.
    """

    def __init__(self) -> None:
        self._seconds = _cpu_seconds()
        self._peak_of_ended = _peak_of_ended()
        self._own = _reset(os.getpid())
        self._pid = isolated.decoder().pid
        self._child = _reset(self._pid) if self._pid else 0

    def seconds(self) -> float:
        """Return the CPU seconds."""
        return _cpu_seconds() - self._seconds

    def peak_bytes(self) -> int:
        """Return the bytes above what both processes had.

        A decoding process that was started meanwhile counts completely.
        """
        own = _status(os.getpid(), "VmHWM") - self._own
        ended = _peak_of_ended()
        child = ended - self._child if ended > self._peak_of_ended else 0
        if pid := isolated.decoder().pid:
            child = max(child, _status(pid, "VmHWM") - (self._child if pid == self._pid else 0))
        return max(0, own) + max(0, child)


def _reset(pid: int) -> int:
    """Start counting the process's peak now, and return its current value."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    """Return bytes; 0 if the process has just ended."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _peak_of_ended() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _cpu_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.process_time() + ended.ru_utime + ended.ru_stime
    if pid := isolated.decoder().pid:
        # After the name, which may contain spaces, utime and stime are the 12th and 13th fields.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
