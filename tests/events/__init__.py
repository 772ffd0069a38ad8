"""Events as AWS sends them: a JSON file each, the names in them replaced by those of a test where it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Event = dict[str, Any]


def load(name: str) -> Event:
    """The event in that file, to be changed freely."""
    event: Event = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return event
