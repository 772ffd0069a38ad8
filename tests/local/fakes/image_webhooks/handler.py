"""Record the events for webhooks in $FAKE_NOTES."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    names = ("WEBHOOK_URL", "WEBHOOK_SECRET_ARN", "WEBHOOK_QUEUE_URL")
    note = {"webhooks": event, "variables": {name: os.environ.get(name) for name in names}}
    with Path(os.environ["FAKE_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(note) + "\n")
    return {"batchItemFailures": []}
