"""Deliver the events in a batch of messages, each to the operator's URL, and retry those that failed later."""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from image_core.clock import Clock
from image_core.services import Services, services
from image_core.settings import settings
from image_core.stores.queue import Queue
from image_core.telemetry import count, instrumented, observed
from image_webhooks.endpoint import Endpoint, parse_endpoint
from image_webhooks.keys import SigningKeys
from image_webhooks.message import NotAnEvent, Webhook, webhook_of
from image_webhooks.schedule import ATTEMPTS, retry_after_seconds, wait_seconds
from image_webhooks.sending import Request, Response, send_all
from image_webhooks.signing import signed_headers

log = logging.getLogger(__name__)

RESPONSE_SECONDS = 5.0
"""Time for a receiver to respond: from the name lookup to the end of the response's headers."""


@dataclass(frozen=True)
class Webhooks:
    """The dependencies of this function. `jitter` returns a number from -1 to 1.

    `context` has the certificates to trust; None: those of the machine.
    """

    endpoint: Endpoint
    keys: SigningKeys
    queue: Queue
    clock: Clock
    jitter: Callable[[], float] = lambda: random.SystemRandom().uniform(-1, 1)
    context: ssl.SSLContext | None = None
    response_seconds: float = RESPONSE_SECONDS


def connect(services: Services) -> Webhooks:
    """Connect the dependencies. Raises `InvalidEndpoint`."""
    configured = services.settings
    sqs: Any = services.clients["sqs"]
    return Webhooks(
        endpoint=parse_endpoint(
            configured.webhook_url or "",
            plain_http=configured.endpoint_url is not None,
            in_container=configured.local_endpoint_url is not None,
        ),
        keys=SigningKeys(services.secrets, configured.webhook_secret_arn or "", time.monotonic),
        queue=Queue(sqs, configured.webhook_queue_url or ""),
        clock=services.clock,
    )


def handle(event: dict[str, Any], webhooks: Webhooks) -> dict[str, Any]:
    """Deliver a batch, and return the messages that failed. Each of them is hidden until its next attempt."""
    messages = event["Records"]
    parsed = [_parsed(message) for message in messages]
    responses = iter(_send([webhook for webhook in parsed if webhook is not None], webhooks))
    failed = []
    for message, webhook in zip(messages, parsed, strict=True):
        if webhook is None:
            _retry_in(0, message, webhooks)  # SQS soon moves it to the dead letters
            failed.append(message)
            continue
        with observed(image_id=webhook.image_id):
            if not _finish(message, webhook, next(responses), webhooks):
                failed.append(message)
    return {"batchItemFailures": [{"itemIdentifier": message["messageId"]} for message in failed]}


def _parsed(message: dict[str, Any]) -> Webhook | None:
    try:
        return webhook_of(message["body"])
    except NotAnEvent:
        log.error("a message in the queue of webhooks is not an event")
        return None


def _send(all_webhooks: list[Webhook], webhooks: Webhooks) -> list[Response]:
    try:
        keys = webhooks.keys.get()
    except Exception:
        log.exception("could not read the webhook secret")
        return [Response(None, "the secret could not be read")] * len(all_webhooks)
    time_s = webhooks.clock.now_ms() // 1000
    requests = [
        Request(signed_headers(webhook.webhook_id, webhook.body, keys=keys, time_s=time_s), webhook.body)
        for webhook in all_webhooks
    ]
    return send_all(webhooks.endpoint, requests, seconds=webhooks.response_seconds, context=webhooks.context)


def _finish(message: dict[str, Any], webhook: Webhook, response: Response, webhooks: Webhooks) -> bool:
    """Return True if the webhook was delivered. Otherwise schedule its next attempt."""
    attempt = int(message["attributes"]["ApproximateReceiveCount"])
    details = {"webhook_id": webhook.webhook_id, "attempt": attempt}
    if response.is_success:
        count("WebhooksDelivered")
        log.info("webhook delivered", extra=details)
        return True
    count("WebhooksFailed")
    now_s = webhooks.clock.now_ms() / 1000
    asked = retry_after_seconds(response.status, response.retry_after, now_s=now_s)
    wait = wait_seconds(attempt, jitter=webhooks.jitter(), retry_after=asked)
    if attempt >= ATTEMPTS:
        log.error("webhook given up: %s", response.reason, extra=details)
    else:
        log.warning("webhook not delivered: %s; retried in %d s", response.reason, wait, extra=details)
    _retry_in(wait, message, webhooks)
    return False


def _retry_in(seconds: float, message: dict[str, Any], webhooks: Webhooks) -> None:
    try:
        webhooks.queue.retry_in(message["receiptHandle"], seconds)
    except Exception:
        log.exception("the next attempt comes after the queue's own visibility timeout")


@cache
def _webhooks() -> Webhooks:
    return connect(services())


def _handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    return handle(event, _webhooks())


handler = instrumented(_handler, lambda: settings().log_level)
"""Lambda's entry point."""
