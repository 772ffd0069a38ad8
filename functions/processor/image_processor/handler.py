"""The processor's input: SQS messages that contain S3 notifications, or S3 notifications without a message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from image_core.errors import Busy, Interrupted, RetryLater
from image_core.lifecycle.engine import handle_event
from image_core.model import Record, StoredObject
from image_core.retry import backoff_seconds
from image_core.services import Services, services
from image_core.settings import Settings, settings
from image_core.stores.queue import ObjectEvent, parse_message, parse_notification
from image_core.telemetry import attempt_interrupted, instrumented, measure, observed
from image_processor.captioning import Captioner
from image_processor.model_loader import ModelLoader, load_model
from image_processor.picture.decode import pixel_limits
from image_processor.pipeline import process
from image_processor.watchdog import Watchdog

log = logging.getLogger(__name__)

SecondsLeft = Callable[[], float]


class Processor:
    """Handles events of either kind.

    `load` loads the caption model in a thread of `executor`. It starts when the object is created.
    """

    def __init__(
        self,
        services: Services,
        load: Callable[[Services], Captioner] = load_model,
        executor: Executor | None = None,
    ) -> None:
        _log_pixel_limits(services.settings)
        self._services = services
        self._executor = executor or ThreadPoolExecutor(max_workers=2, thread_name_prefix="processor")
        self._model = ModelLoader(partial(load, services), self._executor)

    def wait_for_model(self) -> None:
        """Return once the caption model is loaded. Raises `ModelError`."""
        self._model.get()

    def __call__(self, event: dict[str, Any], seconds_left: SecondsLeft | None = None) -> dict[str, Any]:
        """Process the images in the event. For SQS, the result lists the messages to deliver again.

        `seconds_left` returns how long the invocation may still run. An image that takes longer is released before
        that. None means no limit.
        """
        records = event.get("Records") or [{}]
        if records[0].get("eventSource") == "aws:sqs":
            response = process_partial_response(
                event=event,
                record_handler=lambda record: self._handle_message(record, seconds_left),
                processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False),
            )
            return dict(response)
        self._handle_bare_notification(event, seconds_left)
        return {}

    def _handle_message(self, message: SQSRecord, seconds_left: SecondsLeft | None) -> None:
        def retry_in(seconds: float) -> None:
            try:
                self._services.queue.retry_in(message.receipt_handle, seconds)
            except Exception:
                log.exception("a message is retried after the queue's visibility timeout instead")

        with observed():
            if sent_ms := int(message.attributes.sent_timestamp or 0):
                measure("QueueAge", max(0, self._services.clock.now_ms() - sent_ms))
            try:
                for event in parse_message(message.body):
                    self._handle(event, seconds_left, retry_in)
            except RetryLater as later:
                retry_in(later.retry_after_seconds)
                if isinstance(later, Interrupted):
                    attempt_interrupted(later.__cause__ or later)
                level = logging.INFO if isinstance(later, Busy) else logging.WARNING
                log.log(level, "retried in %.0f s: %s", later.retry_after_seconds, later)
                raise
            except Exception:
                failures = int(message.attributes.approximate_receive_count or 1)
                retry_in(backoff_seconds(failures, message.message_id))
                log.exception("the message is retried")
                raise

    def _handle_bare_notification(self, notification: dict[str, Any], seconds_left: SecondsLeft | None) -> None:
        errors: list[Exception] = []
        for event in parse_notification(notification):
            try:
                with observed():
                    self._handle(event, seconds_left)
            except Exception as error:
                log.exception("could not handle an event")
                errors.append(error)
        if errors:
            raise ExceptionGroup("could not handle some events", errors)

    def _handle(
        self,
        event: ObjectEvent,
        seconds_left: SecondsLeft | None,
        retry_in: Callable[[float], None] = lambda _: None,
    ) -> None:
        watchdog = Watchdog(seconds_left() if seconds_left else None, self._services, retry_in)

        def on_claim(record: Record, stored: StoredObject) -> None:
            watchdog.guard(record)
            process(record, stored, self._services, self._model.get, self._executor)

        with watchdog:
            handle_event(event, self._services, on_claim)


def _log_pixel_limits(settings: Settings) -> None:
    limits = pixel_limits(settings.max_image_pixels, settings.decoding_bytes)
    limited = {name: limit for name, limit in limits.items() if limit < settings.max_image_pixels}
    if limited:
        log.info(
            "%s MB of memory have room for fewer pixels than MAX_IMAGE_PIXELS (%s): %s",
            f"{settings.aws_lambda_function_memory_size:,}",
            f"{settings.max_image_pixels:,}",
            ", ".join(f"{name} {limit:,}" for name, limit in limited.items()),
        )


@cache
def processor() -> Processor:
    """The processor of this process. Creating it starts to load the caption model."""
    return Processor(services())


def warm_up() -> None:
    """Return once the caption model is loaded. A local worker receives no messages before that."""
    processor().wait_for_model()


def _handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return processor()(event, lambda: context.get_remaining_time_in_millis() / 1000)


handler = instrumented(_handler, lambda: settings().log_level)
"""Lambda's entry point."""
