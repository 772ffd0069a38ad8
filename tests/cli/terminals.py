"""Run a command in a pseudo-terminal, into which the test can type."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

ROWS, COLUMNS = 40, 160
CTRL_C, CTRL_D = b"\x03", b"\x04"


def run_in_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    control_when: Callable[[str], bool] | None = None,
    control: bytes = CTRL_C,
    seconds: float = 60,
) -> tuple[str, int]:
    """Return everything that the command prints in a terminal of 160×40, and its exit code.

    `control` is typed as soon as `control_when` returns true for the output so far.
    """
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm-256color"},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
    )
    os.close(secondary)
    output, deadline = b"", time.monotonic() + seconds
    try:
        while True:
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"did not end within {seconds} s: {output[-500:]!r}")
            if not select.select([primary], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(primary, 65536)
            except OSError:  # Linux: the command has closed the terminal
                break
            if not piece:
                break
            output += piece
            if control_when is not None and control_when(output.decode(errors="replace")):
                os.write(primary, control)
                control_when = None
        return output.decode(errors="replace"), process.wait(timeout=30)
    finally:
        os.close(primary)
