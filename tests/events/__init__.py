"""Events as AWS sends them, one JSON file for each. Tests replace the names in them where they need to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Event = dict[str, Any]


def load(name: str) -> Event:
    """Load the event in that file. The caller may change it."""
    event: Event = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return event
