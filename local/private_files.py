"""Files with keys, which other users of this machine cannot read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_private_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` atomically. Only the owner can read the file.

    If the folder is missing, it is created for the owner only.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600. Writing to an existing file would keep its mode.
    descriptor, half_written = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
        Path(half_written).replace(path)
    except BaseException:
        Path(half_written).unlink()
        raise
