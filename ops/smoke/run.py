"""Run the steps in order, always clean up, and return the report."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from image_core.errors import Unavailable
from image_core.keys import upload_key
from local.template import ROOT
from ops.smoke.journey import Blocked, Journey, Skipped, StepFailed, Subject, UploadedImage
from ops.smoke.model import described_model
from ops.smoke.report import Outcome, SmokeReport, StepResult
from ops.smoke.steps import LAST_STEP, STEPS, Step

_LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_CALL_SECONDS = 60
"""Limit of one call: API Gateway ends a call after 30 seconds, a container may have to start first."""

PrintLine = Callable[[str], None]


def smoke(subject: Subject, *, timeout_seconds: float, print_line: PrintLine) -> SmokeReport:
    """Run the steps against `subject` and return the report. `print_line` gets a line for each finished step.

    Later steps run even if a step fails. Ctrl-C ends the steps, not the cleanup.
    """
    token = secrets.token_hex(4)
    report = SmokeReport(secrets=subject.secrets)
    report.facts = {
        "stack": subject.kind,
        "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "checkout": _checkout(),
        "run": token,
    }
    # A proxy from the environment is another machine, which cannot reach this one.
    connect = partial(
        httpx.Client,
        base_url=subject.api_url,
        timeout=_CALL_SECONDS,
        trust_env=not subject.api_url.startswith(_LOOPBACK),
    )
    headers = {"X-Api-Key": subject.key} if subject.key else {}
    with connect(headers=headers) as client, connect() as client_without_key:
        journey = Journey(subject, client, client_without_key, report, token=token, timeout_seconds=timeout_seconds)
        try:
            for name, step in STEPS:
                _run(name, step, journey, print_line)
        except KeyboardInterrupt:
            report.interrupted = True
            print_line("interrupted; removing the images of this run")
        finally:
            _clean_up(journey)
            _run(*LAST_STEP, journey, print_line)
    models = [image.caption_model for image in journey.processed]
    report.model = described_model(models[0] if models else journey.health.get("caption_model")) | report.model
    return report


def _checkout() -> str:
    """The commit of this checkout, if git knows it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _run(name: str, step: Step, journey: Journey, print_line: PrintLine) -> None:
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
        # Errors of a server that does not respond as documented, or that rejects the call.
        outcome, detail = Outcome.FAILED, f"{type(error).__name__}: {error}"
    result = StepResult(name, outcome, time.monotonic() - started, detail)
    journey.report.steps.append(result)
    print_line(f"{outcome:<8} {name:<28} {result.seconds:6.2f} s  {journey.report.redacted(detail)}")


def _clean_up(journey: Journey) -> None:
    """Delete what the steps left. Errors are not shown here, because the last step reports what is still there."""
    known = {image.image_id for image in journey.images.values()}
    for image_id, name in _mine_in_list(journey):
        if image_id not in known:
            journey.images[name] = UploadedImage(image_id, name, b"", upload_key(image_id, name), 0.0)
    left = [image for image in journey.images.values() if not image.is_deleted]
    for image in left:
        _quietly(partial(journey.call, "DELETE", f"/api/images/{image.image_id}"))
        _quietly(partial(_delete_object, journey, image))
    for image in left:
        _quietly(partial(journey.until, partial(journey.is_removed, image), what="deletion"))


def _mine_in_list(journey: Journey) -> list[tuple[str, str]]:
    """Find images by name whose upload was interrupted before the response arrived."""
    try:
        listed = journey.json("GET", "/api/images", params={"limit": 100})["data"]
    except StepFailed:
        return []
    named = [(str(item["data"]["image_id"]), str(item["data"]["original_name"])) for item in listed]
    return [(image_id, name) for image_id, name in named if journey.token in name]


def _delete_object(journey: Journey, image: UploadedImage) -> None:
    """Delete the original in the bucket, if a file has no record yet or the API could not delete it."""
    storage = journey.subject.storage
    stored = storage.head(image.key) if storage is not None else None
    if storage is not None and stored is not None:
        storage.delete_original(stored)


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except (StepFailed, BotoCoreError, ClientError, Unavailable):
        return
