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


def in_a_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    ctrl_c_when: Callable[[str], bool] | None = None,
    until_it_ends: bool = False,
    seconds: float = 60,
) -> tuple[str, int]:
    """All that the command shows in a terminal of 160×40, and its exit code. Ctrl-C is typed when told to.

    `until_it_ends`: Ctrl-C is typed again after each pause. Python overlooks one that comes in the moment in which
    `input` begins to wait.
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
    shown, deadline = b"", time.monotonic() + seconds
    try:
        while True:
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"did not end within {seconds} s: {shown[-500:]!r}")
            if not select.select([primary], [], [], 0.2)[0]:
                if until_it_ends and ctrl_c_when is None:
                    os.write(primary, b"\x03")
                continue
            try:
                piece = os.read(primary, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not piece:
                break
            shown += piece
            if ctrl_c_when is not None and ctrl_c_when(shown.decode(errors="replace")):
                os.write(primary, b"\x03")
                ctrl_c_when = None
        return shown.decode(errors="replace"), process.wait(timeout=30)
    finally:
        os.close(primary)
