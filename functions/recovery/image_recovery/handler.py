"""Recovery: handles the engine's two other triggers, dead letters and passed deadlines."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from image_core.errors import RetryLater
from image_core.lifecycle.engine import handle_dead_letter, handle_deadline
from image_core.model import UNFINISHED_STATUSES
from image_core.services import Services, services
from image_core.settings import settings
from image_core.stores.queue import UnknownMessage, parse_message
from image_core.telemetry import count, instrumented, observed

log = logging.getLogger(__name__)

_TIME_LEFT_MS = 5_000
"""The sweep stops this long before the invocation ends, so that it can finish the current image."""


def handle(event: dict[str, Any], context: LambdaContext, services: Services) -> dict[str, Any]:
    """For SQS, handle dead letters and list those to deliver again. Otherwise, sweep and count the decisions."""
    if event.get("Records"):
        response = process_partial_response(
            event=event,
            record_handler=lambda record: _handle_letter(record, services),
            processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False),
        )
        return dict(response)
    decisions = sweep(services, has_time=lambda: context.get_remaining_time_in_millis() > _TIME_LEFT_MS)
    if decisions:
        log.info("sweep: %s", dict(decisions))
    return dict(decisions)


def _handle_letter(letter: SQSRecord, services: Services) -> None:
    try:
        events = parse_message(letter.body)
    except UnknownMessage:
        log.error("dropped a dead letter that names no image")
        count("Recovered", outcome="dead_letter_unknown")
        return
    try:
        for event in events:
            with observed():
                decision = handle_dead_letter(event, int(letter.attributes.sent_timestamp or 0), services)
                count("Recovered", outcome=f"dead_letter_{decision.name.lower()}")
    except RetryLater as later:
        log.info("retried later: %s", later)
        raise


def sweep(services: Services, *, has_time: Callable[[], bool] = lambda: True) -> Counter[str]:
    """Handle every record whose deadline has passed. Returns how often each decision was made, by name.

    `has_time` is called before each record. If time runs out, the next sweep continues. An error with one record
    does not stop the others: all errors are raised at the end, even if time runs out.
    """
    decisions: Counter[str] = Counter()
    errors: list[Exception] = []
    for image_id in _overdue(services):
        if not has_time():
            break
        try:
            with observed(image_id=image_id):
                name = handle_deadline(image_id, services).name.lower()
                count("Recovered", outcome=f"sweep_{name}")
                decisions[name] += 1
        except RetryLater:
            continue  # other workers keep changing this record, so it is not stuck
        except Exception as error:
            log.exception("the sweep could not handle an image", extra={"image_id": image_id})
            errors.append(error)
    if errors:
        raise ExceptionGroup("the sweep could not handle some images", errors)
    return decisions


def _overdue(services: Services) -> Iterator[str]:
    for status in UNFINISHED_STATUSES:
        yield from services.records.overdue(status, services.clock.now_ms())


def _handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return handle(event, context, services())


handler = instrumented(_handler, lambda: settings().log_level)
"""Lambda's entry point."""
