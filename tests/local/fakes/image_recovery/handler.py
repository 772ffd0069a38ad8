"""Record dead letters and scheduled events in $FAKE_NOTES."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    with Path(os.environ["FAKE_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps({"recovery": event}) + "\n")
    return {"batchItemFailures": []}
