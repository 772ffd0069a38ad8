"""One image, in order: the steps between claim and finish."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial

from image_core.ending import end
from image_core.errors import CaptionFailed, CorruptImage, ImageError, ImageTooLarge, Superseded
from image_core.keys import thumbnail_key, thumbnail_prefix
from image_core.models import Outcome, Record, StoredObject, ThumbnailInfo
from image_core.services import Services
from image_core.settings import Settings
from image_processor.captioning import Caption, Captioner
from image_processor.decode import Decoded, decode
from image_processor.metadata import extract
from image_processor.thumbnails import Thumbnail, render

log = logging.getLogger(__name__)


def process(
    record: Record,
    stored: StoredObject,
    services: Services,
    captioner: Callable[[], Captioner],
    beside: Executor,
) -> None:
    """Takes a claimed image to `success` or `failed`.

    `captioner` gives the model, waiting for it to load if need be; `beside` runs what goes on while the caption is
    computed. A permanent fault ends as `failed`; where somebody else has taken over, nothing of this attempt
    remains; anything else is raised, for the queue to bring the image back.
    """
    started_ms = services.records.now_ms()
    try:
        try:
            _guard_size(stored, services.settings)
            body = services.storage.download(stored)
            picture = _decode(body, services.settings)
            metadata = extract(picture, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
            thumbnails = render(picture, services.settings.thumbnail_pixels)
            saving = beside.submit(_save, record, metadata, thumbnails, services)
            try:
                caption = _caption(picture, captioner())
            finally:
                record = saving.result()
            _finish(record, caption, captioner().model, started_ms, services)
        except ImageError as fault:
            end(record.image_id, partial(services.records.fail, record, fault), services)
            # The cause shows a fault of our own that was taken for the picture's.
            log.info("image failed: %s (%r)", fault.code, fault.__cause__, extra={"image_id": record.image_id})
    except Superseded:
        _discard(record, services)
        log.info("somebody else has taken over", extra={"image_id": record.image_id})


def _guard_size(stored: StoredObject, settings: Settings) -> None:
    if stored.size_bytes == 0:
        raise CorruptImage("The file is empty.")
    if stored.size_bytes > settings.max_image_bytes:
        raise ImageTooLarge(f"The file has more than {settings.max_image_bytes:,} bytes.")


def _decode(body: bytes, settings: Settings) -> Decoded:
    return decode(
        body,
        max_pixels=settings.accepted_pixels,
        max_frames=settings.max_image_frames,
        formats=settings.allowed_formats,
        long_enough_for=settings.thumbnail_medium_pixels,
    )


def _save(
    record: Record, metadata: Mapping[str, object], thumbnails: Mapping[str, Thumbnail], services: Services
) -> Record:
    assert record.attempt
    made = {}
    for size, thumbnail in thumbnails.items():
        key = thumbnail_key(record.image_id, record.attempt, size)
        services.storage.put_thumbnail(key, thumbnail.body, content_type=thumbnail.content_type)
        made[size] = ThumbnailInfo(
            key=key,
            width=thumbnail.width,
            height=thumbnail.height,
            content_type=thumbnail.content_type,
            size_bytes=len(thumbnail.body),
        )
    return services.records.save(record, metadata=metadata, thumbnails=made)


def _caption(picture: Decoded, captioner: Captioner) -> Caption:
    try:
        return captioner.caption(picture.for_captioning(captioner.image_size))
    except MemoryError:
        raise
    except Exception as error:
        # The engine is deterministic: what it raises for these pixels it would raise again.
        log.exception("captioning failed")
        raise CaptionFailed from error


def _finish(record: Record, caption: Caption, model: str, started_ms: int, services: Services) -> None:
    outcome = Outcome(
        caption=caption.text,
        caption_reason=caption.reason,
        caption_model=model,
        processing_ms=services.records.now_ms() - started_ms,
    )
    end(record.image_id, partial(services.records.finish, record, outcome), services)
    log.info("image processed", extra={"image_id": record.image_id, "processing_ms": outcome.processing_ms})


def _discard(record: Record, services: Services) -> None:
    prefix = f"{thumbnail_prefix(record.image_id)}{record.attempt}/"
    services.storage.delete_thumbnails(services.storage.list_thumbnails(prefix))
