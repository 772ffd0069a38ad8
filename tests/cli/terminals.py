"""Running a command in a terminal: a pseudo-terminal of its own, in which it can be typed to."""

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


def in_a_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    control_when: Callable[[str], bool] | None = None,
    control: bytes = CTRL_C,
    seconds: float = 60,
) -> tuple[str, int]:
    """All that the command shows in a terminal of 160×40, and its exit code. `control` is typed on request."""
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
    shown, deadline = b"", time.monotonic() + seconds
    try:
        while True:
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"did not end within {seconds} s: {shown[-500:]!r}")
            if not select.select([primary], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(primary, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not piece:
                break
            shown += piece
            if control_when is not None and control_when(shown.decode(errors="replace")):
                os.write(primary, control)
                control_when = None
        return shown.decode(errors="replace"), process.wait(timeout=30)
    finally:
        os.close(primary)
