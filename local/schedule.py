"""EventBridge's schedule: invokes a function at a fixed interval."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from local import logs
from local.function import Function, InvocationError


def scheduled_event(rule_arn: str, now: datetime) -> dict[str, Any]:
    """The event that EventBridge sends at each scheduled time of a rule."""
    _, _, _, region, account, _ = rule_arn.split(":", 5)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": account,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [rule_arn],
        "detail": {},
    }


class Schedule:
    """Invokes `function` every `interval_seconds`, for the first time after one interval."""

    def __init__(self, function: Function, *, rule_arn: str, interval_seconds: float) -> None:
        self._function = function
        self._rule_arn = rule_arn
        self._interval_seconds = interval_seconds

    def run(self, stopping: threading.Event) -> None:
        """Run the schedule until `stopping` is set."""
        while not stopping.wait(self._interval_seconds):
            try:
                with self._function.reserve() as worker:
                    worker.invoke(scheduled_event(self._rule_arn, datetime.now(UTC)))
            except InvocationError as error:
                if not stopping.is_set():
                    logs.write(self._function.name, f"scheduled run failed: {error}")
