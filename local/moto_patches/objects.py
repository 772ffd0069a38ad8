"""S3's objects as files that are closed between requests.

moto keeps a body in memory, or, from 16 MB on, in a temporary file that stays open. Here each body has a file in a
folder of this process. The folder is removed when the process ends or, if it was killed, by the next emulator.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import itertools
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import escape

import moto.s3.models as moto_s3
from werkzeug.exceptions import InternalServerError
from werkzeug.wrappers import Response

from local.moto_patches.replacing import replace

PREFIX = "image-pipeline-objects-"
_numbers = itertools.count()


def apply() -> None:
    """Store bodies in files."""
    remove_folders_of_killed_processes()
    replace(moto_s3, "tempfile", SimpleNamespace(SpooledTemporaryFile=Body))


class Body:
    """The file of one body, with the methods of a file object that moto calls. It is open during a call only."""

    __slots__ = ("_number", "_position")

    def __init__(self, max_size: int = 0) -> None:
        del max_size  # the limit of moto's temporary file
        self._number = next(_numbers)
        self._position = 0

    @property
    def _path(self) -> Path:
        return folder() / str(self._number)

    def seek(self, position: int) -> None:
        self._position = position

    def truncate(self) -> None:
        """Remove everything after the current position."""
        if self._path.exists():
            os.truncate(self._path, self._position)

    def write(self, data: bytes) -> int:
        """Write `data`. If the disk rejects it, remove the file and raise S3's `InternalError`, status 500."""
        try:
            with self._path.open("r+b" if self._path.exists() else "xb") as file:
                file.seek(self._position)
                file.write(data)
        except OSError as error:
            self.close()
            raise _internal_error(error) from error
        self._position += len(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read(size)
        except FileNotFoundError as error:
            raise ValueError("the body is closed") from error  # like Python's files
        self._position += len(data)
        return data

    def close(self) -> None:
        """Remove the file. moto closes bodies that were deleted or replaced."""
        self._path.unlink(missing_ok=True)


def _internal_error(error: OSError) -> InternalServerError:
    text = f"The emulator cannot store the object: {error.strerror}. Free space in {folder()} and try again."
    print(text, file=sys.stderr, flush=True)
    body = f"<Error><Code>InternalError</Code><Message>{escape(text)}</Message></Error>"
    return InternalServerError(response=Response(body, 500, content_type="application/xml"))


@cache
def folder() -> Path:
    """The folder of this process. It is created at the first call and removed when Python ends."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            # The descriptor stays open, so that the lock is released when this process ends, however it ends.
            if _lock(path) is not None and path.exists():
                atexit.register(remove_folder)
                return path
        # Another emulator started at the same moment and removed it before it was locked.


def remove_folder() -> None:
    """Remove the folder of this process, if it has one."""
    if folder.cache_info().currsize:
        shutil.rmtree(folder(), ignore_errors=True)


def remove_folders_of_killed_processes() -> None:
    """Remove folders that no process has locked."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """Lock the folder and return the descriptor. None if another process has locked it or another user owns it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.getuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None
