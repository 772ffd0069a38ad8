"""Files that hold keys: other users of this machine cannot read them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_private_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` to `path`, which only the owner can read and nobody sees half-written.

    The folder is created, for the owner only, if it is missing.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600; a file that was there before keeps its own mode if it is written to.
    descriptor, half_written = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
        Path(half_written).replace(path)
    except BaseException:
        Path(half_written).unlink()
        raise
