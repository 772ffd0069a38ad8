"""Logs as JSON and metrics as EMF lines, both with the ids of image and request.

An EMF line (CloudWatch's embedded metric format) is a log line from which CloudWatch reads metrics: no call is made
that could fail. Its namespace is POWERTOOLS_METRICS_NAMESPACE (the stack's name). Without one, as in tools and
tests, no line is written. The dimension `service` is POWERTOOLS_SERVICE_NAME. docs/operations.md lists the metrics.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import EphemeralMetrics
from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from image_core.model import Record, Status

Handler = Callable[[Any, Any], Any]

_MILLISECONDS = "Milliseconds"
_COUNT = "Count"
_VERBOSE_LOGGERS = ("botocore", "boto3", "urllib3", "s3transfer", "mangum")

_ids: ContextVar[dict[str, str] | None] = ContextVar("ids", default=None)
_line: ContextVar[EphemeralMetrics | None] = ContextVar("line", default=None)


# One unit of work: a message, a request, an image


@contextmanager
def observed(**ids: str | None) -> Iterator[None]:
    """One unit of work. Its log lines include `ids` and later notes, and its measurements become one EMF line.

    A thread belongs to it if it runs in a copy of the context (`contextvars.copy_context().run`).
    """
    line = EphemeralMetrics()
    ids_before = _ids.set({name: value for name, value in ids.items() if value})
    line_before = _line.set(line)
    try:
        yield
    finally:
        _write(line)
        _line.reset(line_before)
        _ids.reset(ids_before)


def note(**ids: str | None) -> None:
    """Add ids to those of the current unit of work."""
    noted = _ids.get()
    if noted is not None:
        noted.update({name: value for name, value in ids.items() if value})


def request_id() -> str | None:
    """The id of the request that started the current unit of work."""
    return (_ids.get() or {}).get("request_id")


# Metrics


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Measure a step as `{Name}Duration` in milliseconds, if it succeeds."""
    started = time.perf_counter()
    yield
    measure(f"{name.capitalize()}Duration", (time.perf_counter() - started) * 1000)


def measure(name: str, milliseconds: float, **dimensions: str) -> None:
    """Add a time in milliseconds to the line of the current unit of work. `dimensions` apply to the whole line."""
    line = _line.get()
    if line is not None:
        line.add_metric(name, _MILLISECONDS, milliseconds)
        for dimension, value in dimensions.items():
            line.add_dimension(dimension, value)


def count(name: str, number: int = 1, /, **dimensions: str) -> None:
    """Add `number` to a counter. With `dimensions`, also count by them, on a separate line."""
    at_hand = _line.get()
    line = EphemeralMetrics() if dimensions or at_hand is None else at_hand
    line.add_metric(name, _COUNT, number)
    if dimensions and line.service:
        line.add_dimensions(service=line.service, **dimensions)
    if line is not at_hand:
        _write(line)


def image_ended(record: Record) -> None:
    """Count a record that has just become `success` or `failed`."""
    if record.status is Status.SUCCESS:
        count("ImagesProcessed")
        measure("TotalDuration", record.processing_ms or 0)
    elif record.status is Status.FAILED:
        count("ImagesFailed", code=(record.error or {}).get("code", "unknown"))


def attempt_interrupted(cause: BaseException) -> None:
    """Count an attempt that ended without an outcome and is retried. Lambda counts it as a success."""
    count("AttemptsInterrupted", kind=type(cause).__name__)


def _write(line: EphemeralMetrics) -> None:
    if not line.metric_set or not line.namespace or is_metrics_disabled():
        return
    for name, value in (_ids.get() or {}).items():
        line.add_metadata(name, value)
    # One write call, because other threads write as well.
    sys.stdout.write(json.dumps(line.serialize_metric_set(), separators=(",", ":")) + "\n")
    sys.stdout.flush()


# Logs


class _Ids(logging.Filter):
    """Add the ids of the current unit of work to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in (_ids.get() or {}).items():
            record.__dict__.setdefault(name, value)
        return True


def log_as_json(level: str = "INFO") -> None:
    """Log one line of JSON per record from now on, ASCII only, so that no name in it can forge another line."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        # Lambda's own handler leaves the line end to its formatter.
        handler.setFormatter(_json("" if isinstance(handler, logging.StreamHandler) else "\n"))
        handler.addFilter(_Ids())
    root.setLevel(level)
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _json(end: str) -> logging.Formatter:
    return LambdaPowertoolsFormatter(
        json_serializer=lambda record: json.dumps(record, default=str, separators=(",", ":")) + end,
        json_deserializer=str,  # a message stays text, even if it looks like JSON
        utc=True,
        use_rfc3339=True,
        serialize_stacktrace=False,  # the traceback is already included as text
        service=EphemeralMetrics().service,
    )


# Lambda


def instrumented(handler: Handler, level: Callable[[], str]) -> Handler:
    """A Lambda handler whose first call sets up JSON logs at `level()` and counts the cold start."""
    is_cold = True

    @wraps(handler)
    def call(event: Any, context: Any) -> Any:
        nonlocal is_cold
        if is_cold:
            is_cold = False
            log_as_json(level())
            count("ColdStart")
        return handler(event, context)

    return call
