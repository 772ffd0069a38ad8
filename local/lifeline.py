"""A child's end of the pipe that ties it to `python -m local`.

The parent holds the other end of our standard input. However the parent goes, SIGKILL included, the kernel
closes it, and we go too; this works on every Unix, which PR_SET_PDEATHSIG does not.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable


def read_until_parent_ends(
    on_line: Callable[[str], None] | None = None, *, at_end: Callable[[], None] | None = None
) -> None:
    """Hands each line of standard input to `on_line`, in a thread; calls `at_end` after the last, then exits."""

    def read() -> None:
        for line in sys.stdin:
            if on_line:
                on_line(line)
        if at_end:
            at_end()
        os._exit(0)

    threading.Thread(target=read, name="lifeline", daemon=True).start()
