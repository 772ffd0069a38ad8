"""`python -m local.sam local start-api …`: SAM's command line as one of our children: it ends with its parent.

SAM removes its containers when it is told to stop (SIGTERM), so that is what it is told. Before its server runs it
has no ear for that, and would leave a lock behind that the next one waits for: until then it is an exit like any
other.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn


def _stop_when_parent_ends() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _exit(_signum: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def main() -> None:
    os.dup2(2, 1)  # our log is standard error
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_stop_when_parent_ends, name="lifeline", daemon=True).start()
    from samcli.cli.main import cli  # type: ignore[import-untyped]

    cli(prog_name="sam")


if __name__ == "__main__":
    main()
