"""/api/images: upload, list, read, reprocess, delete."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, UploadFile

from image_api.body_limit import too_large_message
from image_api.dependencies import Connected, find_record, present, with_record
from image_api.errors import documented
from image_api.schemas import AcceptedAnswer, ImageAnswer, ListAnswer, ShownStatus
from image_core.deletion import delete, mark
from image_core.errors import (
    BadCursor,
    EmptyFile,
    NotFound,
    Superseded,
    TooLarge,
    Unavailable,
    UnsupportedUpload,
    UploadIncomplete,
)
from image_core.events import Look
from image_core.formats import SNIFFED_BYTES, identify, media_type, named
from image_core.keys import new_image_id, upload_key
from image_core.models import Record, Status
from image_core.services import Services
from image_core.telemetry import note

log = logging.getLogger(__name__)

router = APIRouter(prefix="/api/images", tags=["images"])


@router.post(
    "", status_code=202, responses=documented(UnsupportedUpload, EmptyFile, TooLarge), summary="Upload an image"
)
def upload_image(file: UploadFile, request: Request, response: Response, services: Connected) -> AcceptedAnswer:
    """Takes the picture in the multipart field `file` and processes it in the background.

    What the bytes are decides, not the name or content type. `Location` is where to watch it.
    """
    content_type = _checked(file, services)
    now_ms = services.records.now_ms()
    image_id = new_image_id()
    note(image_id=image_id)
    record = services.records.create(
        Record(
            image_id=image_id,
            key=upload_key(image_id, file.filename),
            rev=0,
            status=Status.PENDING,
            generation=1,
            created_ms=now_ms,
            requested_ms=now_ms,
            original_name=file.filename or "image",
            source="api",
            content_type=content_type,
            size_bytes=file.size,
            deadline=now_ms + services.settings.pending_timeout_seconds * 1000,
        )
    )
    try:
        services.storage.put_original(record.key, file.file, content_type=content_type)
    except Exception as error:
        # Whatever it was: nothing will come for this record, and the caller must know.
        log.exception("an upload could not be stored")
        with suppress(Superseded):  # it was stored after all, and somebody is at it
            services.records.give_up(record, None, UploadIncomplete())
        raise Unavailable from error
    response.headers["Location"] = str(request.url_for("get_image", image_id=image_id))
    shown = present(record, request, services)
    return AcceptedAnswer(image_id=image_id, status=shown.status, data=shown.data)


def _checked(file: UploadFile, services: Services) -> str:
    """The media type that the bytes have. Raises what a file is refused for."""
    limit = services.settings.max_post_bytes
    if not file.size:
        raise EmptyFile
    if file.size > limit:
        raise TooLarge(too_large_message(limit))
    kind = identify(file.file.read(SNIFFED_BYTES))
    allowed = services.settings.allowed_formats
    if kind is None or kind not in allowed:
        raise UnsupportedUpload(f"Formats that are taken: {named(allowed)}.")
    file.file.seek(0)
    return media_type(kind)


@router.get("", responses=documented(BadCursor), summary="List images, newest first")
def list_images(
    request: Request,
    services: Connected,
    limit: Annotated[int, Query(ge=1, le=100, description="Images on a page.")] = 20,
    cursor: Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before.")] = None,
    status: Annotated[ShownStatus | None, Query(description="Only images that have this status now.")] = None,
) -> ListAnswer:
    """One page; each item is what `GET /api/images/{image_id}` answers."""
    page = services.records.page(limit=limit, cursor=cursor, status=Status(status) if status else None)
    return ListAnswer(
        data=[present(record, request, services) for record in page.records], next_cursor=page.next_cursor
    )


@router.get("/{image_id}", responses=documented(NotFound), summary="One image")
def get_image(image_id: str, request: Request, services: Connected) -> ImageAnswer:
    """Status, metadata, caption and thumbnails of an image, as far as they are known."""
    return present(find_record(image_id, services), request, services)


@router.post(
    "/{image_id}/reprocess", status_code=202, responses=documented(NotFound), summary="Process an image again"
)
def reprocess_image(image_id: str, request: Request, services: Connected) -> AcceptedAnswer:
    """Runs the pipeline again, whether it had failed or not; until it ends the old results stay."""

    def begin(record: Record) -> Record:
        if record.status is Status.RESERVED:
            return record  # its first processing is still to come
        return services.records.reprocess(record, pending_seconds=services.settings.pending_timeout_seconds)

    record = with_record(image_id, services, begin)
    try:
        services.queue.send(Look(services.storage.uploads_bucket, record.key))
    except Exception:
        # The record says that it is to be done: the sweep sends the message.
        log.exception("the message of a reprocessing could not be sent")
    shown = present(record, request, services)
    return AcceptedAnswer(image_id=image_id, status=shown.status, data=shown.data)


@router.delete("/{image_id}", status_code=204, responses=documented(NotFound), summary="Delete an image")
def delete_image(image_id: str, services: Connected) -> None:
    """Removes original, thumbnails and record."""
    marked = with_record(
        image_id, services, lambda record: mark(record, services, services.storage.head(record.key))
    )
    try:
        delete(marked, services)
    except Exception:
        # It is deleted for whoever asks; what is left to remove, the sweep removes.
        log.exception("a deletion is left to the sweep")
