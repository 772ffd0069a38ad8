"""Runs the steps in order, cleans up whatever happens, and writes the report."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from image_core.errors import Unavailable
from ops.smoke.journey import Blocked, Journey, Made, Skipped, StepFailed, Subject
from ops.smoke.model import described_model
from ops.smoke.report import Outcome, SmokeReport, StepResult
from ops.smoke.steps import LAST_STEP, STEPS, Step

_LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_CALL_SECONDS = 60
"""Limit of one call: API Gateway ends a call after 30 seconds, a container may have to start first."""

Say = Callable[[str], None]


def smoke(subject: Subject, *, timeout_seconds: float, say: Say) -> SmokeReport:
    """The report of a run against `subject`. `say` gets a line for each step as it ends.

    A failed step does not keep later ones from running. Ctrl-C ends the steps, not the cleanup.
    """
    token = secrets.token_hex(4)
    report = SmokeReport(secrets=subject.secrets)
    report.facts = {"stack": subject.kind, "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "run": token}
    headers = {"X-Api-Key": subject.key} if subject.key else {}
    # A proxy from the environment would be another machine, and cannot reach this one.
    is_local = subject.api_url.startswith(_LOOPBACK)
    with httpx.Client(
        base_url=subject.api_url, headers=headers, timeout=_CALL_SECONDS, trust_env=not is_local
    ) as client:
        journey = Journey(subject, client, report, token=token, timeout_seconds=timeout_seconds)
        try:
            for name, step in STEPS:
                _run(name, step, journey, say)
        except KeyboardInterrupt:
            report.interrupted = True
            say("interrupted; removing the images of this run")
        finally:
            _clean_up(journey)
            _run(*LAST_STEP, journey, say)
    report.model = described_model(journey.health.get("caption_model")) | report.model
    return report


def _run(name: str, step: Step, journey: Journey, say: Say) -> None:
    started = time.monotonic()
    try:
        outcome, detail = Outcome.PASSED, step(journey)
    except Skipped as reason:
        outcome, detail = Outcome.SKIPPED, str(reason)
    except Blocked as reason:
        outcome, detail = Outcome.BLOCKED, str(reason)
    except StepFailed as error:
        outcome, detail = Outcome.FAILED, str(error)
    except (BotoCoreError, ClientError, Unavailable, KeyError, TypeError, ValueError) as error:
        # Of a server that does not answer as documented, or that refuses us.
        outcome, detail = Outcome.FAILED, f"{type(error).__name__}: {error}"
    result = StepResult(name, outcome, time.monotonic() - started, detail)
    journey.report.steps.append(result)
    say(f"{outcome:<8} {name:<28} {result.seconds:6.2f} s  {journey.report.redacted(detail)}")


def _clean_up(journey: Journey) -> None:
    """Delete what the steps left. Errors stay silent here: the last step reports what is still there."""
    for image_id, name in _mine_in_list(journey):
        if image_id not in {made.image_id for made in journey.made.values()}:
            journey.made[name] = Made(image_id, name, b"", "", 0.0)
    left = [made for made in journey.made.values() if not made.is_deleted]
    for made in left:
        _quietly(lambda made=made: _delete(journey, made))  # type: ignore[misc]
    for made in left:
        _quietly(lambda made=made: journey.until(lambda: journey.is_gone(made), what=""))  # type: ignore[misc]


def _mine_in_list(journey: Journey) -> list[tuple[str, str]]:
    """Images whose upload was interrupted before the response came, known by their names."""
    try:
        listed = journey.json("GET", "/api/images", params={"limit": 100})["data"]
    except StepFailed:
        return []
    named = [(str(item["data"]["image_id"]), str(item["data"]["original_name"])) for item in listed]
    return [(image_id, name) for image_id, name in named if journey.token in name]


def _delete(journey: Journey, made: Made) -> None:
    if journey.subject.storage is not None and made.key:
        stored = journey.subject.storage.head(made.key)
        if stored is not None and not made.key.startswith("uploads/"):
            journey.subject.storage.delete_original(stored)
    journey.call("DELETE", f"/api/images/{made.image_id}")


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except (StepFailed, BotoCoreError, ClientError, Unavailable):
        return
