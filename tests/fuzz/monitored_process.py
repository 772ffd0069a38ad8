"""A monitored process for hostile files. It is killed when a file takes too long, and started again."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fuzz.picture_stage import LISTED, REQUEST, SUCCESS

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Limits:
    """The limits for one file.

    `seconds` is CPU time, `peak_bytes` counts from the start, `killed_after_seconds` is wall time.
    """

    max_pixels: int = 4_000_000
    seconds: float = 5.0
    peak_bytes: int = 256 * 2**20
    killed_after_seconds: float = 60.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of one file. `seconds` is CPU time, `peak_bytes` counts above what the process had before."""

    kind: str
    """"success", the code of an error, or what else happened."""
    detail: str
    seconds: float
    peak_bytes: int

    def problem(self, limits: Limits) -> str | None:
        """Return what is wrong with the outcome, or None."""
        if self.kind not in {SUCCESS, *LISTED}:
            return f"{self.kind}: {self.detail}"
        if self.seconds > limits.seconds:
            return f"{self.seconds:.1f} s"
        if self.peak_bytes > limits.peak_bytes:
            return f"{self.peak_bytes / 2**20:.0f} MiB"
        return None


class MonitoredProcess:
    """The monitored process. It is started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(self, data: bytes, limits: Limits) -> Outcome:
        """Process `data` and return the outcome."""
        process = self._started()
        assert process.stdin and process.stdout
        deadline = time.monotonic() + limits.killed_after_seconds
        try:
            process.stdin.write(REQUEST.pack(len(data), limits.max_pixels) + data)
            process.stdin.flush()
        except BrokenPipeError:
            return self._died(process)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(POLL_SECONDS):
                if time.monotonic() > deadline:
                    self._end()
                    return Outcome("hang", "", limits.killed_after_seconds, 0)
        line = process.stdout.readline()
        if not line:
            return self._died(process)
        found = json.loads(line)
        return Outcome(found["outcome"], found["detail"], found["seconds"], found["peak_bytes"])

    def kill(self) -> None:
        """Kill the process as a crash would. It is noticed with the next file."""
        if self._process is not None:
            self._process.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.picture_stage"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _died(self, process: subprocess.Popen[bytes]) -> Outcome:
        status = process.wait()
        self._process = None
        how = signal.Signals(-status).name if status < 0 else f"exit {status}"
        return Outcome(f"crash {how}", "", 0.0, 0)

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.communicate()
