"""What the processor is called with: SQS messages that hold S3 notifications, or bare S3 notifications."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from image_core.errors import Busy, LookAgain
from image_core.events import Look, looks_in, looks_in_text
from image_core.faults import retry_seconds
from image_core.services import Services, services
from image_core.settings import settings
from image_core.telemetry import instrumented, measure, observed
from image_processor.captioning import Captioner, find_model_dir, load_captioner
from image_processor.looks import look_at
from image_processor.watchdog import Watchdog

log = logging.getLogger(__name__)

SecondsLeft = Callable[[], float]


class Processor:
    """Takes events of either kind.

    The caption model is loaded by `load` from construction on, in a thread of `beside` (one of its own by default).
    """

    def __init__(
        self,
        services: Services,
        load: Callable[[Services], Captioner] | None = None,
        beside: Executor | None = None,
    ) -> None:
        self._services = services
        self._compare_limits_with_memory()
        self._beside = beside or ThreadPoolExecutor(max_workers=2, thread_name_prefix="beside")
        self._load = load or _load_captioner
        self._captioner: Future[Captioner] = self._beside.submit(self._load, services)

    def _compare_limits_with_memory(self) -> None:
        settings = self._services.settings
        if settings.accepted_pixels < settings.max_image_pixels:
            log.error(
                "MAX_IMAGE_PIXELS is %s, but %s MB of memory have room for %s pixels: larger pictures are refused",
                f"{settings.max_image_pixels:,}",
                f"{settings.aws_lambda_function_memory_size:,}",
                f"{settings.accepted_pixels:,}",
            )

    def captioner(self) -> Captioner:
        """The caption model, once it is loaded. Raises `ModelError` if it cannot be."""
        try:
            return self._captioner.result()
        except Exception:
            # Not for good: the next image finds out whether the fault has passed.
            self._captioner = self._beside.submit(self._load, self._services)
            raise

    def __call__(self, event: dict[str, Any], seconds_left: SecondsLeft | None = None) -> dict[str, Any]:
        """Processes what the event names. The answer lists the messages that must come back (SQS alone).

        `seconds_left` says how long the invocation may still run: an image that needs longer is given back before.
        Without it there is no end.
        """
        records = event.get("Records") or [{}]
        if records[0].get("eventSource") == "aws:sqs":
            answer = process_partial_response(
                event=event,
                record_handler=lambda record: self._take_message(record, seconds_left),
                processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False),
            )
            return dict(answer)
        faults: list[Exception] = []
        for look in looks_in(event):
            try:
                with observed():
                    self._look_at(look, seconds_left)
            except Exception as fault:
                log.exception("a key could not be processed")
                faults.append(fault)
        if faults:
            raise ExceptionGroup("some keys could not be processed", faults)
        return {}

    def _take_message(self, record: SQSRecord, seconds_left: SecondsLeft | None) -> None:
        with observed():
            if sent_ms := int(record.attributes.sent_timestamp or 0):
                measure("QueueAge", max(0, self._services.records.now_ms() - sent_ms))
            self._look(record, seconds_left)

    def _look(self, record: SQSRecord, seconds_left: SecondsLeft | None) -> None:
        def come_back(seconds: float) -> None:
            self._come_back(record, seconds)

        try:
            for look in looks_in_text(record.body):
                self._look_at(look, seconds_left, come_back)
        except Busy as busy:
            come_back(busy.retry_after_seconds)
            log.info("left for later: %s", busy)
            raise
        except LookAgain as again:
            come_back(again.retry_after_seconds)
            log.warning("tried again in %.0f s: %s", again.retry_after_seconds, again)
            raise
        except Exception:
            come_back(retry_seconds(int(record.attributes.approximate_receive_count or 1), record.message_id))
            log.exception("the message goes back to the queue")
            raise

    def _come_back(self, record: SQSRecord, seconds: float) -> None:
        try:
            self._services.queue.hide(record.receipt_handle, seconds)
        except Exception:
            log.exception("a message comes back after the queue's visibility time-out instead")

    def _look_at(
        self,
        look: Look,
        seconds_left: SecondsLeft | None,
        come_back: Callable[[float], None] = lambda _: None,
    ) -> None:
        if seconds_left is None:
            look_at(look, self._services, self.captioner, self._beside)
            return
        with Watchdog(seconds_left(), self._services, come_back) as watchdog:
            look_at(look, self._services, self.captioner, self._beside, watchdog.claimed)


def _load_captioner(services: Services) -> Captioner:
    settings = services.settings
    folder = settings.caption_model_dir
    captioner = load_captioner(
        Path(folder) if folder else find_model_dir(Path(settings.models_dir)),
        prompt=settings.caption_prompt,
        max_new_tokens=settings.caption_max_tokens,
    )
    log.info("caption model: %s", captioner.model)
    services.records.announce_caption_model(captioner.model)
    return captioner


@cache
def processor() -> Processor:
    """The processor of this process; building it starts loading the caption model."""
    return Processor(services())


def warm_up() -> None:
    """Returns once the caption model is loaded: a local worker takes no messages before."""
    processor().captioner()


def _handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return processor()(event, lambda: context.get_remaining_time_in_millis() / 1000)


handler = instrumented(_handler, lambda: settings().log_level)
"""Lambda's entry point."""
