"""The folder in which MiniStack keeps the stack's data between runs, and whether the last run saved everything.

MiniStack writes objects to disk at once, but tables and queues only when it stops cleanly. Otherwise the tables are
those of the last clean stop, and must be reconciled with the objects.

This module imports only the standard library, because MiniStack's environment does not have other dependencies.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

_LOCK_SECONDS = 10.0
"""How long the emulator of a run that has just stopped may take to save its data."""


class InUse(Exception):
    """Another emulator uses the folder."""


class KeptData:
    """The folder, which only its owner can read.

    Two empty files mark states that the data do not show. `running` exists from `open` to `close`. `reconcile`
    exists from a start that finds `running` until `reconciled`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "s3"
        self.state = folder / "state"
        self._running = folder / "running"
        self._reconcile = folder / "reconcile"
        self._lock: IO[str] | None = None

    def open(self, *, seconds: float = _LOCK_SECONDS) -> None:
        """Lock the folder for this process. Raises `InUse` if another process keeps the lock longer than
        `seconds`."""
        for folder in (self.folder, self.objects, self.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("w", encoding="utf-8")
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.close()
                    raise InUse(
                        f"another local stack uses {self.folder}; stop it, or choose another folder with --env-file"
                    ) from None
                time.sleep(0.1)
        self._lock = lock
        if self._running.exists():
            self._reconcile.touch()
        self._running.touch()

    def close(self) -> None:
        """Record that everything is saved, and unlock the folder."""
        self._running.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    @property
    def needs_reconcile(self) -> bool:
        """Whether the tables may be older than the objects."""
        return self._reconcile.exists()

    def reconciled(self) -> None:
        """Record that tables and objects are consistent again."""
        self._reconcile.unlink(missing_ok=True)
