"""The journal of uploads: a small SQLite file, so that an interrupted batch can be continued.

A row is for one file at one API: path, size, modification time and SHA-256 of the file, the idempotency key of its
upload, the way that it was sent, and the image's id once the API has responded. Key and way are on disk *before*
anything is sent, because the API recognizes a key only if it is sent in the same way. So however and whenever
imgpipe ends (a power cut included), the same command repeats unconfirmed uploads with the same key in the same way,
and the API creates only one image.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from imgpipe.errors import BadUsage, FileError
from imgpipe.files import LocalFile

_VERSION = 1
_SCHEMA = """
CREATE TABLE uploads (
    api TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL,
    way TEXT,
    image_id TEXT,
    changed_at REAL NOT NULL,
    PRIMARY KEY (api, path, size, sha256)
)
"""


@dataclass(frozen=True)
class Entry:
    """A row. `way`: how it was sent, None before that. `image_id` is None until the API has responded."""

    idempotency_key: str
    way: str | None
    image_id: str | None
    sha256: str


class Journal:
    """An SQLite file, which several imgpipe processes may use at once. Every method is a durable transaction.

    Raises `FileError` if it cannot be written. Nothing is sent then.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the journal. Raises `BadUsage` if that is not possible."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, timeout=30, isolation_level=None)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            return cls._checked(database)
        except (OSError, sqlite3.Error) as error:
            raise BadUsage(f"The journal {path} cannot be used: {error}") from error

    @classmethod
    def in_memory(cls) -> Self:
        """A journal in memory, only for this run."""
        return cls._checked(sqlite3.connect(":memory:", isolation_level=None))

    @classmethod
    def _checked(cls, database: sqlite3.Connection) -> Self:
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.execute(_SCHEMA)
            database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("COMMIT")
        if version > _VERSION:
            raise BadUsage("The journal was written by a newer imgpipe. Update imgpipe, or use --journal.")
        return cls(database)

    def close(self) -> None:
        self._database.close()

    def unchanged(self, api: str, file: LocalFile) -> Entry | None:
        """The entry of a file with the same path, size and time as in an earlier run, so that it need not be
        read."""
        return self._find("path = ? AND size = ? AND mtime_ns = ?", api, (file.place, file.size, file.mtime_ns))

    def begin(self, api: str, file: LocalFile, sha256: str) -> Entry:
        """The entry of a file with these bytes, even if its time differs, or else a new one."""
        row = (api, file.place, file.size, sha256, file.mtime_ns, _new_key(), time.time())
        self._do(
            "INSERT INTO uploads (api, path, size, sha256, mtime_ns, idempotency_key, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET mtime_ns = excluded.mtime_ns, changed_at = excluded.changed_at",
            row,
        )
        found = self._find("path = ? AND size = ? AND sha256 = ?", api, (file.place, file.size, sha256))
        assert found is not None, "it was just written"
        return found

    def choose(self, entry: Entry, way: str) -> Entry:
        """Record the way in which the file will be sent."""
        self._do(
            "UPDATE uploads SET way = ?, changed_at = ? WHERE idempotency_key = ?",
            (way, time.time(), entry.idempotency_key),
        )
        return replace(entry, way=way)

    def finish(self, entry: Entry, image_id: str) -> None:
        """Record the image's id from the API's response."""
        self._do(
            "UPDATE uploads SET image_id = ?, changed_at = ? WHERE idempotency_key = ?",
            (image_id, time.time(), entry.idempotency_key),
        )

    def renew(self, entry: Entry) -> Entry:
        """Start the upload again with another key: the last one is known to have created no image."""
        fresh = Entry(_new_key(), None, None, entry.sha256)
        self._do(
            "UPDATE uploads SET idempotency_key = ?, way = NULL, image_id = NULL, changed_at = ?"
            " WHERE idempotency_key = ?",
            (fresh.idempotency_key, time.time(), entry.idempotency_key),
        )
        return fresh

    def _find(self, condition: str, api: str, values: tuple[object, ...]) -> Entry | None:
        rows = self._do(
            "SELECT idempotency_key, way, image_id, sha256 FROM uploads"  # noqa: S608 - two conditions, both above
            f" WHERE api = ? AND {condition} ORDER BY changed_at DESC LIMIT 1",
            (api, *values),
        )
        return Entry(*rows[0]) if rows else None

    def _do(self, statement: str, values: tuple[object, ...]) -> list[tuple[str, str | None, str | None, str]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise FileError(f"the journal cannot be written: {error}") from error


def default_path(environment: Mapping[str, str]) -> Path:
    """The default path of the journal: in the user's state folder (XDG)."""
    state = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA")
    folder = Path(state) if state and os.path.isabs(state) else Path.home() / ".local" / "state"  # noqa: PTH117
    return folder / "imgpipe" / "uploads.sqlite3"


def _new_key() -> str:
    return uuid.uuid4().hex
