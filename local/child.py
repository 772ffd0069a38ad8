"""Child processes of `python -m local`, which never outlive it."""

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
    """Runs `python -m MODULE ARGUMENTS…`, and prints its standard error as log lines under `name`.

    `python` is another interpreter, for a module that has its own environment.

    The child has its own process group, so that Ctrl-C reaches only the parent. It ends when its standard input is
    closed.
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
        """The exit code. None while the process runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        code = self._process.wait()
        self._log.join(timeout=1)
        return code

    def stop(self, grace_seconds: float = 0) -> None:
        """Stop the process: with SIGTERM first if there is a grace period, then with SIGKILL."""
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
    """Describe how a process ended."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
