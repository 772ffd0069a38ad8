"""One image, in order: the steps between claim and finish."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial

from image_core.errors import (
    CaptionFailed,
    CorruptImage,
    ImageError,
    ImageTooLarge,
    Interrupted,
    Replaced,
    RetriesExhausted,
    Superseded,
    UploadMismatch,
)
from image_core.keys import thumbnail_key, thumbnail_prefix
from image_core.lifecycle.act import end
from image_core.model import Outcome, Record, StoredObject, ThumbnailInfo
from image_core.retry import Kind, kind_of, retry_seconds
from image_core.services import Services
from image_core.settings import Settings
from image_core.telemetry import stage
from image_processor.captioning import Caption, Captioner
from image_processor.decode import Decoded, decode
from image_processor.metadata import extract
from image_processor.thumbnails import Thumbnail, render

log = logging.getLogger(__name__)

_EMPTY = "The file is empty."


def process(
    record: Record,
    stored: StoredObject,
    services: Services,
    captioner: Callable[[], Captioner],
    beside: Executor,
) -> None:
    """Takes a claimed image to `success` or `failed`.

    `captioner` gives the model, waiting for it to load if need be; `beside` runs what goes on while the caption is
    computed. Thumbnails and metadata that an earlier attempt saved are not made again. A permanent fault ends as
    `failed`; where somebody else has taken over, nothing of this attempt remains but what is served. Raises
    `Replaced` where the object is not the claimed one any more: its key must be looked at anew. Any other fault
    gives the image back and is raised as `Interrupted`; on the last attempt it ends as `failed` too.
    """
    started_ms = services.records.now_ms()
    try:
        try:
            with stage("download"):
                body = _download(record, stored, services)
            sha256 = hashlib.sha256(body).hexdigest()
            _guard_announced(record, sha256)
            with stage("decode"):
                picture = _decode(body, services.settings)
            made = None if record.has_saved() else _make(picture, body, sha256, services.settings)
            saving = beside.submit(copy_context().run, _save, record, made, services)
            try:
                with stage("model"):
                    model = captioner()
                with stage("caption"):
                    caption = _caption(picture, model)
            finally:
                record = saving.result()
            _finish(record, caption, model.model, started_ms, services)
        except ImageError as fault:
            end(record.image_id, partial(services.records.fail, record, fault), services)
            # The cause shows a fault of our own that was taken for the picture's.
            log.info("image failed: %s (%r)", fault.code, fault.__cause__)
        except Superseded:
            raise
        except Exception as fault:
            log.exception("an attempt was interrupted")
            wait_seconds = give_back(record, services)
            if wait_seconds is not None:
                raise Interrupted("an attempt was interrupted", wait_seconds) from fault
    except Replaced:
        raise  # nothing was made of it yet
    except Superseded:
        _discard(record, services)
        log.info("somebody else has taken over")


def give_back(record: Record, services: Services) -> float | None:
    """Ends an attempt without an outcome: the lease goes, what was saved stays. The last one fails the image.

    Returns in how many seconds to try again, None where the image was given up. Raises `Superseded`.
    """
    settings = services.settings
    if record.attempts >= settings.max_attempts:
        end(record.image_id, partial(services.records.fail, record, RetriesExhausted()), services)
        return None
    wait_seconds = retry_seconds(record.attempts, record.attempt or "")
    try:
        services.records.release(
            record, retry_seconds=wait_seconds, pending_seconds=settings.pending_timeout_seconds
        )
    except Superseded:
        raise
    except Exception:
        # Whoever looks next waits for the lease to run out.
        log.exception("a lease could not be given back")
    return wait_seconds


def _download(record: Record, stored: StoredObject, services: Services) -> bytes:
    """The file, unless its size alone says that it is none to be processed."""
    limit, announced = services.settings.max_image_bytes, record.announced_bytes
    if 0 < stored.size_bytes <= limit and announced in (None, stored.size_bytes):
        return services.storage.download(stored)
    now = services.storage.head(stored.key)
    if now is None or now.version != stored.version:
        raise Replaced
    if now.size_bytes == 0:
        raise CorruptImage(_EMPTY)
    if now.size_bytes > limit:
        raise ImageTooLarge(f"The file has more than {limit:,} bytes.")
    raise UploadMismatch(f"{now.size_bytes:,} bytes arrived, {announced:,} were announced.")


def _guard_announced(record: Record, sha256: str) -> None:
    """S3 checks what a presigned URL was signed for; an emulator or somebody's own write does not."""
    if record.announced_sha256 not in (None, sha256):
        raise UploadMismatch("The bytes that arrived have another SHA-256 than the announced one.")


def _decode(body: bytes, settings: Settings) -> Decoded:
    return decode(
        body,
        max_pixels=settings.accepted_pixels,
        max_frames=settings.max_image_frames,
        formats=settings.allowed_formats,
        long_enough_for=max(settings.thumbnails.values()),
    )


def _make(
    picture: Decoded, body: bytes, sha256: str, settings: Settings
) -> tuple[Mapping[str, object], Mapping[str, Thumbnail]]:
    with stage("metadata"):
        metadata = extract(picture, size_bytes=len(body), sha256=sha256)
    with stage("thumbnails"):
        return metadata, render(picture, settings.thumbnails)


@stage("save")
def _save(
    record: Record, made: tuple[Mapping[str, object], Mapping[str, Thumbnail]] | None, services: Services
) -> Record:
    if made is None:
        return record
    assert record.attempt
    metadata, thumbnails = made
    put = {}
    for size, thumbnail in thumbnails.items():
        key = thumbnail_key(record.image_id, record.attempt, size)
        services.storage.put_thumbnail(key, thumbnail.body, content_type=thumbnail.content_type)
        put[size] = ThumbnailInfo(
            key=key,
            width=thumbnail.width,
            height=thumbnail.height,
            content_type=thumbnail.content_type,
            size_bytes=len(thumbnail.body),
        )
    return services.records.save(record, metadata=metadata, thumbnails=put)


def _caption(picture: Decoded, captioner: Captioner) -> Caption:
    try:
        return captioner.caption(picture.for_captioning(captioner.image_size))
    except Exception as error:
        # The engine is deterministic: what it raises for these pixels it would raise again, unless it was short of
        # something.
        if kind_of(error, otherwise=Kind.PERMANENT) is not Kind.PERMANENT:
            raise
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
    log.info("image processed", extra={"processing_ms": outcome.processing_ms})


def _discard(record: Record, services: Services) -> None:
    prefix = f"{thumbnail_prefix(record.image_id)}{record.attempt}/"
    listed = services.storage.list_thumbnails(prefix)
    now = services.records.get(record.image_id)
    if now is not None and now.thumbnails is not None and now.thumbnails.attempt == record.attempt:
        return  # a later attempt builds upon what this one has saved
    services.storage.delete_thumbnails(listed)
