"""Update the search index with each change, and send an event for each image that ended or was deleted."""

from __future__ import annotations

import logging
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from image_core.services import Services, services
from image_core.settings import settings
from image_core.stores.events import Event, NotSent
from image_core.telemetry import count, instrumented
from image_stream.events import event_of
from image_stream.index import record_in, update_index

log = logging.getLogger(__name__)


def handle(event: dict[str, Any], services: Services) -> dict[str, Any]:
    """Update the index and send the events of a batch, and return the first record that must be delivered again.

    Lambda delivers that record and all later ones again. Writing entries again changes nothing; events that were
    already sent are sent twice.
    """
    update_index(event["Records"], services)
    changes = [(record["dynamodb"]["SequenceNumber"], _event(record, services)) for record in event["Records"]]
    caused = [(sequence_number, one) for sequence_number, one in changes if one is not None]
    sent, failures = len(caused), []
    try:
        services.events.send([one for _, one in caused])
    except NotSent as error:
        log.exception("events will be sent again")
        sent = error.accepted
        failures = [{"itemIdentifier": caused[sent][0]}]
    if sent:
        count("EventsSent", sent)
    return {"batchItemFailures": failures}


def _event(record: dict[str, Any], services: Services) -> Event | None:
    change = record["dynamodb"]
    return event_of(
        record_in(change.get("OldImage")),
        record_in(change.get("NewImage")),
        written_ms=int(change["ApproximateCreationDateTime"] * 1000),
        api_url=(services.settings.api_url or "").rstrip("/"),
    )


def _handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    return handle(event, services())


handler = instrumented(_handler, lambda: settings().log_level)
"""Lambda's entry point."""
