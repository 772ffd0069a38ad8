"""Processes that `python -m local` starts, and that never outlive it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from local import logs
from local.template import ROOT


class Child:
    """`python -m MODULE ARGUMENTS…`, its standard error shown as log lines under `name`.

    `python` is another interpreter than ours, for a module with an environment of its own.

    It leads a process group of its own, so that Ctrl-C reaches only us; its standard input is its lifeline.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        python: str = sys.executable,
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=ROOT,
            pass_fds=pass_fds,
            process_group=0,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self.stdin: IO[bytes] = self._process.stdin
        self.stdout: IO[bytes] = self._process.stdout
        self._log = threading.Thread(
            target=logs.copy, args=(name, self._process.stderr), name=f"{name}-log", daemon=True
        )
        self._log.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code = self._process.wait()
        self._log.join(timeout=1)
        return code

    def stop(self, grace_seconds: float = 0) -> None:
        """Ends it: politely first if there is a grace period, and for certain then."""
        if grace_seconds and self.exit_code is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
        if self.exit_code is None:
            self._process.kill()
        self._process.wait()
        self._log.join(timeout=1)
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def describe_exit(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
