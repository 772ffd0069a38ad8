"""Print one short line per log record, whatever its source and format."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import IO, Any

_lock = threading.Lock()
_EVENTS = "events"
_EVENT_LINE = '{"displayed_as": "events"'
"""The emulator logs the events of the stack (`local.event_bridge`)."""
# Fields that telemetry and Lambda's runtime add to each record, and that are not useful on a terminal.
_HIDDEN_FIELDS = {
    "aws_request_id", "cold_start", "correlation_id", "exception", "exception_name", "exception_notes",
    "function_arn", "function_memory_size", "function_name", "function_request_id", "level", "location", "message",
    "request_id", "sampling_rate", "service", "displayed_as", "stack_trace", "timestamp", "xray_trace_id",
}  # fmt: skip


def write(name: str, text: str) -> None:
    """Print `text` under the name of its source. Control characters in it cannot forge further lines."""
    clock = time.strftime("%H:%M:%S")
    printable = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    with _lock:
        print(f"{clock} {name:<10} {printable}", file=sys.stderr, flush=True)


def copy(name: str, stream: IO[bytes]) -> None:
    """Print each line of `stream` until it ends."""
    for line in stream:
        text = line.decode("utf-8", "replace").rstrip()
        for short in shorten(text):
            write(_EVENTS if text.startswith(_EVENT_LINE) else name, short)


def shorten(line: str) -> list[str]:
    """Convert a structured log record to readable lines. Other lines are unchanged; empty ones and metrics are
    dropped."""
    if not line.startswith("{"):
        return [line] if line else []
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return [line]
    if "_aws" in record:
        return []
    level = str(record.get("level", "INFO"))
    words = [] if level == "INFO" else [level.lower()]
    words.append(str(record.get("message", "")))
    words += [f"{key}={value}" for key, value in record.items() if key not in _HIDDEN_FIELDS and value is not None]
    return [" ".join(words), *str(record.get("exception") or "").splitlines()]
