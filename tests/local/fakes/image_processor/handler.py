"""Record each message in $FAKE_NOTES, then do what its body says, for example `{"do": "raise"}`."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

_warm = []


def warm_up() -> None:
    _warm.append(True)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    failures = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        note(record=record, body=body, warm=_warm, remaining_ms=context.get_remaining_time_in_millis())
        do = body.get("do")
        if do == "raise":
            raise RuntimeError("told to")
        if do == "sleep":
            time.sleep(600)
        if do == "wait":
            while not Path(body["for"]).exists():
                time.sleep(0.01)
        if do == "exit":
            os._exit(7)
        if do == "print":
            print("this is no answer")
            print("neither is this", file=sys.stderr)
        if do == "log":
            logging.getLogger("fake").warning("look here", extra={"image_id": "img_1"})
        if do == "give back":
            failures.append({"itemIdentifier": record["messageId"]})
        if do == "raise once" and int(record["attributes"]["ApproximateReceiveCount"]) == 1:
            raise RuntimeError("asked to fail once")
    return {"batchItemFailures": failures}


def note(**what: Any) -> None:
    what |= {"pid": os.getpid(), "env": {name: os.environ.get(name) for name in ("QUEUE_URL", "UPLOADS_BUCKET")}}
    with Path(os.environ["FAKE_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(what) + "\n")
