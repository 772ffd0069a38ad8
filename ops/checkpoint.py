"""The position of a walk through the uploads bucket, stored in a file for `--resume`."""

from __future__ import annotations

import json
from pathlib import Path


class Checkpoint:
    """The last key of the last completed page, for one bucket."""

    def __init__(self, path: Path, bucket: str) -> None:
        self._path = path
        self._bucket = bucket

    def read(self) -> str:
        """The key to continue after. "" is the beginning, also if the file is missing or for another bucket."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return str(kept["start_after"]) if kept["bucket"] == self._bucket else ""
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ""

    def write(self, key: str) -> None:
        """Record that everything up to `key` is done. The write is atomic, even if the process is killed."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        half_written = self._path.with_name(self._path.name + ".part")
        half_written.write_text(json.dumps({"bucket": self._bucket, "start_after": key}), encoding="utf-8")
        half_written.replace(self._path)

    def remove(self) -> None:
        """Remove the file, because the walk is complete."""
        self._path.unlink(missing_ok=True)
