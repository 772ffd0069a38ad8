"""A file that is written page by page, and that the next run continues after any interruption.

The lines go to `FILE.part`. After each page, `FILE.part.json` says how many bytes of it count, and the cursor of
the next page; the bytes are on disk before that. The next run cuts off whatever follows: a line that was written
only in part, or a page that did not count yet. At the end `FILE.part` becomes `FILE`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from imgpipe.downloads import already_exists, put_in_place
from imgpipe.errors import BadUsage, FileError

if sys.platform != "win32":
    import fcntl

_VERSION = 1


@dataclass(frozen=True)
class Position:
    """How far an export is: the cursor of the next page, and the bytes and images before it.

    `is_complete`: there is no next page.
    """

    cursor: str | None = None
    size: int = 0
    images: int = 0
    is_complete: bool = False


class ExportFile:
    """The file of one export. A context manager. Raises `FileError`."""

    def __init__(self, target: Path, subject: Mapping[str, Any], *, force: bool, restart: bool) -> None:
        """`subject` is what is exported; only the same export is continued. With `force`, `target` is replaced.

        Raises `BadUsage` if an unfinished file belongs to another export, unless `restart` discards it.
        """
        if target.is_dir():
            raise BadUsage(f"{target} is a folder. Pass a file with --output.")
        self.target = target
        self._force = force
        self._subject = {"version": _VERSION, **subject}
        self.part = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")
        with self._errors():
            self._clean_up_finished()
            if not force and os.path.lexists(target):
                raise already_exists(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            is_new = restart or not self.part.exists()
            self._stream = self._opened()
            try:
                self.position = Position() if is_new else self._stored_position()
                self._stream.truncate(self.position.size)
                self._stream.seek(0, os.SEEK_END)
            except BaseException:
                self._stream.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self.position == Position():  # nothing counts, so that nothing has to be continued or discarded
            self.part.unlink(missing_ok=True)

    def append(self, data: bytes, position: Position) -> None:
        """Add a page. It counts once this returns. `position.size` is calculated."""
        size = self.position.size + len(data)
        with self._errors():
            self._stream.write(data)
            self._stream.flush()
            os.fsync(self._stream.fileno())
            if os.fstat(self._stream.fileno()).st_size != size:
                raise FileError(f"{self.part} is being written by another program, too")
            self.position = Position(position.cursor, size, position.images, position.is_complete)
            self._store_position()

    def finish(self) -> None:
        """Give the complete file its name."""
        with self._errors():
            if sys.platform == "win32":  # which does not rename an open file; elsewhere, the lock is still needed
                self._stream.close()
            put_in_place(self.part, self.target, force=self._force)
            with suppress(FileNotFoundError):  # after a hard link
                self.part.unlink()
            self._state.unlink(missing_ok=True)

    def _opened(self) -> BinaryIO:
        """Open FILE.part, and lock it until this process ends, so that only one run writes it."""
        if self.part.is_symlink():
            self.part.unlink()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(self.part, flags, 0o666), "r+b")
        # The run that had the lock until now may have renamed the file.
        if _lock(stream) and self.part.exists() and os.path.samestat(os.fstat(stream.fileno()), self.part.stat()):
            return stream
        stream.close()
        raise FileError(f"{self.part} is being written by another export. Wait until it has ended.")

    def _clean_up_finished(self) -> None:
        """Remove the second name of a file that a killed run had finished."""
        with suppress(FileNotFoundError):
            if self.part.samefile(self.target):
                self.part.unlink()

    def _stored_position(self) -> Position:
        try:
            found = json.loads(self._state.read_text(encoding="utf-8"))
            position, subject = Position(**found["position"]), found["subject"]
            is_intact = self.part.stat().st_size >= position.size and not self.part.is_symlink()
        except FileNotFoundError:
            return Position()
        except (ValueError, KeyError, TypeError):
            raise BadUsage(f"{self._state} cannot be read. --restart begins the export again.") from None
        if subject != self._subject:
            raise BadUsage(
                f"{self.part} is an unfinished export of something else: another API, format or selection. "
                "--restart discards it."
            )
        if not is_intact:
            raise BadUsage(f"{self.part} was changed by another program. --restart begins the export again.")
        return position

    def _store_position(self) -> None:
        half_written = self._state.with_name(f"{self._state.name}.new")
        with half_written.open("w", encoding="utf-8") as stream:
            json.dump({"subject": self._subject, "position": asdict(self.position)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        half_written.replace(self._state)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(f"{self.part}: {error.strerror or error}") from error


def _lock(stream: BinaryIO) -> bool:
    """Lock a file, where the system can. Returns False if another process has locked it."""
    if sys.platform != "win32":
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems have no locks
            pass
    return True
