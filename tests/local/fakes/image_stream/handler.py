"""Record batches of stream records in $FAKE_NOTES. Fails if an item says so: `{"do": {"S": "raise once"}}`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_failed: set[str] = set()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    with Path(os.environ["FAKE_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps({"stream": event["Records"]}) + "\n")
    for record in event["Records"]:
        number = record["dynamodb"]["SequenceNumber"]
        do = record["dynamodb"].get("NewImage", {}).get("do", {}).get("S")
        if number in _failed or do is None:
            continue
        _failed.add(number)
        if do == "raise once":
            raise RuntimeError("asked to fail once")
        return {"batchItemFailures": [{"itemIdentifier": number}]}
    return {"batchItemFailures": []}
