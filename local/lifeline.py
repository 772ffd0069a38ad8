"""End a child process when its parent, `python -m local`, ends.

The child's standard input is a pipe from the parent. However the parent ends, SIGKILL included, the kernel closes
the pipe, and the child ends too. This works on every Unix, unlike PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable


def read_until_parent_ends(
    on_line: Callable[[str], None] | None = None, *, at_end: Callable[[], None] | None = None
) -> None:
    """In a thread, pass each line of standard input to `on_line`. After the last, call `at_end`, then exit."""

    def read() -> None:
        for line in sys.stdin:
            if on_line:
                on_line(line)
        if at_end:
            at_end()
        os._exit(0)

    threading.Thread(target=read, name="lifeline", daemon=True).start()
