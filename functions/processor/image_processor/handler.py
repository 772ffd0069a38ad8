"""What the processor is called with: SQS messages that hold S3 notifications, or bare S3 notifications."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from image_core.errors import Busy
from image_core.events import looks_in, looks_in_text
from image_core.services import Services, services
from image_processor.captioning import Captioner, find_model_dir, load_captioner
from image_processor.looks import look_at

log = logging.getLogger(__name__)


class Processor:
    """Takes events of either kind. The caption model is loaded by `load`, in a thread, from construction on."""

    def __init__(self, services: Services, load: Callable[[Services], Captioner] | None = None) -> None:
        self._services = services
        self._compare_limits_with_memory()
        self._beside = ThreadPoolExecutor(max_workers=2, thread_name_prefix="beside")
        self._captioner: Future[Captioner] = self._beside.submit(load or _load_captioner, services)

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
        return self._captioner.result()

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        """Processes what the event names. The answer lists the messages that must come back (SQS alone)."""
        records = event.get("Records") or [{}]
        if records[0].get("eventSource") == "aws:sqs":
            answer = process_partial_response(
                event=event,
                record_handler=self._take_message,
                processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False),
            )
            return dict(answer)
        faults: list[Exception] = []
        for look in looks_in(event):
            try:
                look_at(look, self._services, self.captioner, self._beside)
            except Exception as fault:
                log.exception("a key could not be processed")
                faults.append(fault)
        if faults:
            raise ExceptionGroup("some keys could not be processed", faults)
        return {}

    def _take_message(self, record: SQSRecord) -> None:
        try:
            for look in looks_in_text(record.body):
                look_at(look, self._services, self.captioner, self._beside)
        except Busy as busy:
            self._services.queue.hide(record.receipt_handle, busy.retry_after_seconds)
            log.info("left for later: %s", busy)
            raise
        except Exception:
            log.exception("the message goes back to the queue")
            raise


def _load_captioner(services: Services) -> Captioner:
    settings = services.settings
    folder = settings.caption_model_dir
    captioner = load_captioner(
        Path(folder) if folder else find_model_dir(Path(settings.models_dir)),
        engine=settings.caption_engine,
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


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001  # Lambda passes both
    """Lambda's entry point."""
    return processor()(event)
