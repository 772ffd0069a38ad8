"""Local files to upload: selection, properties, and bytes."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from imgpipe.errors import BadUsage, FileError
from imgpipe.signatures import HEAD_BYTES, guessed_type, media_type

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class LocalFile:
    """A file's state when it was examined. `mtime_ns` is its modification time."""

    path: Path
    size: int
    mtime_ns: int
    media_type: str

    @property
    def name(self) -> str:
        """Its name without folders. Bytes that are not valid UTF-8 become U+FFFD, because JSON cannot contain
        them."""
        return os.fsencode(self.path.name).decode("utf-8", "replace")

    @property
    def place(self) -> bytes:
        """Its absolute path, in the bytes of the file system."""
        return os.fsencode(self.path.resolve())


@dataclass(frozen=True)
class Selection:
    """The result of a selection: files, unreadable files, and how many files in folders are not pictures."""

    files: Sequence[LocalFile]
    errors: Sequence[tuple[Path, FileError]]
    ignored: int


def select(paths: Sequence[Path], *, recursive: bool) -> Selection:
    """Select the given files, and with `recursive` the pictures in folders, each once. Raises `BadUsage`."""
    files: dict[bytes, LocalFile] = {}
    errors: list[tuple[Path, FileError]] = []
    ignored = 0
    for path, named in _walk(paths, recursive=recursive):
        try:
            file, is_picture = inspect_file(path)
        except FileError as error:
            errors.append((path, error))
            continue
        if named or is_picture:
            files.setdefault(file.place, file)
        else:
            ignored += 1
    return Selection(list(files.values()), errors, ignored)


def _walk(paths: Sequence[Path], *, recursive: bool) -> Iterator[tuple[Path, bool]]:
    for path in paths:
        if not path.is_dir():
            yield path, True
            continue
        if not recursive:
            raise BadUsage(f"{path} is a folder. Use --recursive to upload the pictures in it.")
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith("."):
                    yield Path(folder, name), False


def inspect_file(path: Path) -> tuple[LocalFile, bool]:
    """Examine a file, and return whether it begins like a picture. Raises `FileError`."""
    try:
        if not path.is_file():  # opening a pipe would block forever
            raise FileError("not a file" if path.exists() else "no such file")
        with path.open("rb") as stream:
            found = media_type(stream.read(HEAD_BYTES))
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    kind = found or guessed_type(path.name)
    return LocalFile(path, status.st_size, status.st_mtime_ns, kind), found is not None


def digest(file: LocalFile) -> str:
    """SHA-256 of a file's bytes, in hex. Raises `FileError`."""
    try:
        with file.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error


class Body(io.RawIOBase):
    """A file's bytes, which are read as they are sent. Calls `sent(n)` for each chunk. A context manager.

    It returns exactly the bytes of the examined file. If the file has changed since, it raises `FileError` instead
    of uploading a mixture.
    """

    def __init__(self, file: LocalFile, sent: Callable[[int], None]) -> None:
        self.file = file
        self._sent = sent
        self._at = 0
        try:
            self._stream = file.path.open("rb")
        except OSError as error:
            raise FileError(error.strerror or str(error)) from error

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.file.size}[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes. Raises `FileError` if the file has changed."""
        wanted = self.file.size - self._at if size < 0 else min(size, self.file.size - self._at)
        try:
            self._stream.seek(self._at)
            piece = self._stream.read(wanted)
            status = os.fstat(self._stream.fileno())
        except OSError as error:
            raise FileError(error.strerror or str(error)) from error
        if len(piece) < wanted or (status.st_size, status.st_mtime_ns) != (self.file.size, self.file.mtime_ns):
            raise FileError("it changed while it was read")
        self._at += len(piece)
        self._sent(len(piece))
        return piece

    def rewound(self) -> Self:
        """Rewind to the beginning. Bytes that were already sent no longer count."""
        self._sent(-self._at)
        self._at = 0
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        """All bytes from the beginning, in chunks. A read blocks only as long as a disk needs for 64 KiB."""
        self.rewound()
        while piece := self.read(CHUNK_BYTES):
            yield piece
