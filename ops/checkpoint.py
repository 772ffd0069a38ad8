"""How far the walk through the uploads bucket has come: kept in a file, for `--resume`."""

from __future__ import annotations

import json
from pathlib import Path


class Checkpoint:
    """The last key of the last page that was dealt with to its end, for one bucket."""

    def __init__(self, path: Path, bucket: str) -> None:
        self._path = path
        self._bucket = bucket

    def read(self) -> str:
        """Where to go on; "" for the beginning, also where the file is of another bucket or none."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return str(kept["start_after"]) if kept["bucket"] == self._bucket else ""
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ""

    def write(self, key: str) -> None:
        """Everything up to `key` is done. Whole or not at all, whenever the process ends."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        half_written = self._path.with_name(self._path.name + ".part")
        half_written.write_text(json.dumps({"bucket": self._bucket, "start_after": key}), encoding="utf-8")
        half_written.replace(self._path)

    def remove(self) -> None:
        """The walk has reached its end."""
        self._path.unlink(missing_ok=True)
