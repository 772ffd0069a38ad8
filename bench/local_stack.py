"""A stack on this machine for a benchmark: `python -m local` on free ports, and what its processes cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 180
STOP_SECONDS = 30


@dataclass(frozen=True)
class LocalStack:
    """`api_url` is where it listens; `api_pid` and `aws_pid` are those of our application and of moto."""

    api_url: str
    api_pid: int
    aws_pid: int


@contextmanager
def local_stack(*options: str) -> Iterator[LocalStack]:
    """Runs one as long as the block; its log is shown if it does not start."""
    with tempfile.TemporaryDirectory() as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "log"
        command = [sys.executable, "-m", "local", "--port", "0", "--aws-port", "0", "--model", "demo"]
        command += ["--ready-file", str(ready), "--env-file", str(Path(folder) / "env.json"), *options]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the stack did not start:\n{log.read_text(encoding='utf-8')}")
                time.sleep(0.1)
            started = json.loads(ready.read_text(encoding="utf-8"))
            yield LocalStack(started["api_url"], started["pids"]["api"][0], started["pids"]["aws"][0])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, all threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
