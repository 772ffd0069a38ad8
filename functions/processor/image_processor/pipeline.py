"""The steps of processing one image, in order, from claim to finish."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass

from PIL import Image

from image_core.errors import (
    CaptionFailed,
    CorruptImage,
    ImageError,
    ImageTooLarge,
    InternalFailure,
    Interrupted,
    Replaced,
    Superseded,
    UploadMismatch,
)
from image_core.keys import thumbnail_key, thumbnail_prefix
from image_core.lifecycle import act
from image_core.model import Outcome, Record, StoredObject, ThumbnailInfo
from image_core.renditions import largest_side
from image_core.retry import is_programming_error, is_transient, needs_configuration
from image_core.services import Services
from image_core.settings import Settings
from image_core.telemetry import count, stage
from image_processor.captioning import Caption, Captioner
from image_processor.picture.decode import decode
from image_processor.picture.decoded import PIXELS_VERSION, Decoded
from image_processor.picture.metadata import extract
from image_processor.picture.placeholder import placeholder
from image_processor.picture.thumbnails import encode, scaled

log = logging.getLogger(__name__)

_EMPTY = "The file is empty."


@dataclass(frozen=True)
class _Results:
    """What an attempt saves before the caption: metadata, and the pictures of the renditions, not encoded yet."""

    metadata: Mapping[str, object]
    pictures: Mapping[str, Image.Image]


@dataclass(frozen=True)
class _Captioned:
    """A caption, with the model and the recipe that produced it. Captions of old records have no recipe."""

    caption: Caption
    model: str
    recipe: str | None


def process(
    record: Record,
    stored: StoredObject,
    services: Services,
    captioner: Callable[[], Captioner],
    executor: Executor,
) -> None:
    """Process a claimed image until it is `success` or `failed`.

    `captioner` returns the model, and waits until it is loaded. `executor` saves thumbnails and metadata while the
    caption is computed. Results that an earlier attempt saved or a reprocess keeps are not made again. If another
    worker has taken over, this attempt leaves no files behind except those that are served.

    Raises `Replaced` if the object is no longer the claimed one, and `Interrupted` if a transient error ended the
    attempt and the image waits for the next one.
    """
    try:
        _attempt(record, stored, services, captioner, executor)
    except Replaced:
        raise  # nothing has been saved yet
    except Superseded:
        _discard(record, services)
        log.info("another worker has taken over")


def _attempt(
    record: Record,
    stored: StoredObject,
    services: Services,
    captioner: Callable[[], Captioner],
    executor: Executor,
) -> None:
    started_ms = services.clock.now_ms()
    try:
        with stage("download"):
            body = _download(record, stored, services)
        sha256 = hashlib.sha256(body).hexdigest()
        _guard_announced(record, sha256)
        with stage("decode"):
            picture = _decode(body, services.settings)
        results = None if record.has_saved() else _make(picture, body, sha256, services.settings)
        saving = executor.submit(copy_context().run, _save, record, results, services)
        try:
            captioned = _kept_caption(record) or _caption(record, picture, sha256, captioner, services)
        finally:
            record = saving.result()
        _finish(record, captioned, started_ms, services)
    except ImageError as error:
        act.fail(record, error, services)
        # The cause reveals a bug in the pipeline that looks like a damaged picture.
        log.info("image failed: %s (%r)", error.code, error.__cause__)
    except Superseded:
        raise
    except Exception as error:
        log.exception("an attempt was interrupted")
        if is_programming_error(error):
            act.fail(record, InternalFailure(), services)
            return
        wait_seconds = act.release(record, services)
        if wait_seconds is not None:
            raise Interrupted("an attempt was interrupted", wait_seconds) from error


def _download(record: Record, stored: StoredObject, services: Services) -> bytes:
    """Check the size, then download."""
    limit, announced = services.settings.max_image_bytes, record.announced_bytes
    if 0 < stored.size_bytes <= limit and announced in (None, stored.size_bytes):
        return services.storage.download(stored)
    now = services.storage.head(stored.key)
    if now is None or now.version != stored.version:
        raise Replaced
    if now.size_bytes == 0:
        raise CorruptImage(_EMPTY)
    if now.size_bytes > limit:
        raise ImageTooLarge(f"The file is {now.size_bytes:,} bytes; the limit is {limit:,} bytes.")
    raise UploadMismatch(f"The uploaded file is {now.size_bytes:,} bytes; {announced:,} bytes were announced.")


def _guard_announced(record: Record, sha256: str) -> None:
    """Compare the announced SHA-256. S3 checks it for a presigned URL, but an emulator or another writer does
    not."""
    if record.announced_sha256 not in (None, sha256):
        raise UploadMismatch("The SHA-256 of the uploaded file is not the announced one.")


def _decode(body: bytes, settings: Settings) -> Decoded:
    return decode(
        body,
        max_pixels=settings.max_image_pixels,
        max_frames=settings.max_image_frames,
        formats=settings.allowed_formats,
        largest_side=largest_side(settings.thumbnails),
        memory_bytes=settings.decoding_bytes,
    )


def _make(picture: Decoded, body: bytes, sha256: str, settings: Settings) -> _Results:
    with stage("thumbnails"):
        pictures = scaled(picture, settings.thumbnails)
    with stage("metadata"):
        metadata = extract(picture, size_bytes=len(body), sha256=sha256)
        smallest = min(pictures.values(), key=lambda one: one.width * one.height)
        return _Results(metadata | {"placeholder": placeholder(smallest)}, pictures)


@stage("save")
def _save(record: Record, results: _Results | None, services: Services) -> Record:
    if results is None:
        return record
    assert record.attempt
    put = {}
    # Encoded here, while the caption model is already at work.
    for size, thumbnail in encode(results.pictures, services.settings.thumbnails).items():
        key = thumbnail_key(record.image_id, record.attempt, size, thumbnail.body)
        services.storage.put_thumbnail(key, thumbnail.body, content_type=thumbnail.content_type)
        put[size] = ThumbnailInfo(
            key=key,
            width=thumbnail.width,
            height=thumbnail.height,
            content_type=thumbnail.content_type,
            size_bytes=len(thumbnail.body),
        )
    return services.records.save(record, metadata=results.metadata, thumbnails=put)


def _captioned(record: Record) -> _Captioned:
    assert record.caption_model is not None
    caption = Caption(
        record.caption,
        record.caption_reason,
        confidence=record.caption_confidence,
        flags=record.caption_flags,
        language=record.caption_language,
    )
    return _Captioned(caption, record.caption_model, record.caption_recipe)


def _kept_caption(record: Record) -> _Captioned | None:
    """The caption that this generation keeps. None if it needs one."""
    return _captioned(record) if record.caption_model is not None and record.has_caption() else None


def _caption(
    record: Record, picture: Decoded, sha256: str, captioner: Callable[[], Captioner], services: Services
) -> _Captioned:
    """Copy the caption of the same bytes and recipe, or compute it."""
    with stage("model"):
        model = captioner()
    recipe = caption_recipe(model, services.settings)
    if not record.must_compute_caption():
        source = _with_same_caption(record, sha256, recipe, services)
        if source is not None:
            count("CaptionsCopied")
            log.info("caption copied", extra={"copied_from": source.image_id})
            return _captioned(source)
    with stage("caption"):
        return _Captioned(_compute_caption(picture, model), model.model, recipe)


def caption_recipe(captioner: Captioner, settings: Settings) -> str:
    """Everything besides the file's bytes that decides its caption. Equal bytes and recipe give equal captions."""
    return f"{captioner.recipe}-pixels{PIXELS_VERSION}-{largest_side(settings.thumbnails)}"


def _with_same_caption(record: Record, sha256: str, recipe: str, services: Services) -> Record | None:
    """A record whose caption this image gets too: its own earlier state, or another image."""
    own_sha256 = (record.metadata or {}).get("sha256")
    if record.caption_model is not None and (own_sha256, record.caption_recipe) == (sha256, recipe):
        return record
    try:
        return services.records.with_caption(sha256, recipe)
    except Exception as error:
        if not is_transient(error):
            raise
        log.warning("could not look for a caption to copy (%r)", error)
        return None


def _compute_caption(picture: Decoded, captioner: Captioner) -> Caption:
    try:
        return captioner.caption(picture.for_captioning(captioner.image_size))
    except Exception as error:
        # The engine is deterministic: it would raise the same error for these pixels again, unless it was out of
        # memory or another resource.
        if is_transient(error) or needs_configuration(error):
            raise
        log.exception("captioning failed")
        raise CaptionFailed from error


def _finish(record: Record, captioned: _Captioned, started_ms: int, services: Services) -> None:
    caption = captioned.caption
    outcome = Outcome(
        caption=caption.text,
        caption_reason=caption.reason,
        caption_model=captioned.model,
        caption_recipe=captioned.recipe,
        caption_confidence=caption.confidence,
        caption_flags=caption.flags,
        caption_language=caption.language,
        processing_ms=services.clock.now_ms() - started_ms,
    )
    act.succeed(record, outcome, services)
    log.info("image processed", extra={"processing_ms": outcome.processing_ms})


def _discard(record: Record, services: Services) -> None:
    prefix = f"{thumbnail_prefix(record.image_id)}{record.attempt}/"
    listed = services.storage.list_thumbnails(prefix)
    now = services.records.get(record.image_id)
    if now is not None and now.thumbnails is not None and now.thumbnails.attempt == record.attempt:
        return  # a later attempt uses the files that this one has saved
    services.storage.delete_thumbnails(listed)
