"""Recovery's entry point: the dead-letter queue, and the schedule of the sweep."""

from __future__ import annotations

import logging
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from image_core.errors import Busy
from image_core.services import Services, services
from image_core.settings import settings
from image_core.stores.queue import UnknownMessage, looks_in_text
from image_core.telemetry import count, instrumented, observed
from image_recovery.dead_letters import bury
from image_recovery.sweep import sweep

log = logging.getLogger(__name__)

_TIME_LEFT_MS = 5_000
"""What the sweep leaves of its time, so that the record at hand is finished."""


def handle(event: dict[str, Any], context: LambdaContext, services: Services) -> dict[str, Any]:
    """Dead letters: which of them must come back. Anything else is the schedule: what the sweep did."""
    if event.get("Records"):
        answer = process_partial_response(
            event=event,
            record_handler=lambda record: _take_letter(record, services),
            processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False),
        )
        return dict(answer)
    taken = sweep(services, may_go_on=lambda: context.get_remaining_time_in_millis() > _TIME_LEFT_MS)
    if taken:
        log.info("sweep: %s", dict(taken))
    return dict(taken)


def _take_letter(letter: SQSRecord, services: Services) -> None:
    try:
        looks = looks_in_text(letter.body)
    except UnknownMessage:
        log.error("a dead letter that is about no image was dropped")
        count("Recovered", outcome="dead_letter_unknown")
        return
    try:
        for look in looks:
            with observed():
                bury(look, int(letter.attributes.sent_timestamp or 0), services)
    except Busy as busy:
        log.info("left for later: %s", busy)
        raise


def _handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return handle(event, context, services())


handler = instrumented(_handler, lambda: settings().log_level)
"""Lambda's entry point."""
