"""POST /api/images: a file in the request itself."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from functools import partial

from fastapi import Request, Response, UploadFile

from image_api.dependencies import LOCATION_HEADER, PENDING_HEADERS, Connected, accepted
from image_api.http import routing
from image_api.http.body_limit import file_too_large_message
from image_api.http.error_responses import documented
from image_api.http.errors import (
    EmptyFile,
    ImageDeleted,
    InvalidRequest,
    KeyReused,
    TooLarge,
    UnsupportedUpload,
    WrongMediaType,
)
from image_api.idempotency import digest_of, first_or_again, image_id_for
from image_api.parameters import IdempotencyKey
from image_api.schemas import MAX_NAME_CHARACTERS, AcceptedAnswer
from image_core.errors import Superseded, Unavailable, UploadIncomplete
from image_core.formats import SNIFFED_BYTES, identify, media_type, named
from image_core.keys import upload_key
from image_core.model import Record, Status
from image_core.services import Services
from image_core.telemetry import image_ended, note

log = logging.getLogger(__name__)

router = routing.router("images", "/api/images")


@router.post(
    "",
    status_code=202,
    responses={
        202: {"headers": {**LOCATION_HEADER, **PENDING_HEADERS}},
        **documented(
            UnsupportedUpload, EmptyFile, ImageDeleted, TooLarge, WrongMediaType, InvalidRequest, KeyReused
        ),
    },
    response_description="Taken.",
    summary="Upload an image",
)
def upload_image(
    file: UploadFile,
    request: Request,
    response: Response,
    services: Connected,
    idempotency_key: IdempotencyKey = None,
) -> AcceptedAnswer:
    """Takes the picture in the multipart field `file` and processes it in the background.

    What the bytes are decides, not the name or content type. A call whose answer got lost can be made again with
    the same `Idempotency-Key`: what it answers then is how far the image has come.
    """
    content_type = _checked(file, services)
    name = file.filename or "image"
    now_ms = services.records.now_ms()
    image_id = image_id_for("POST /api/images", idempotency_key)
    note(image_id=image_id)
    new = Record(
        image_id=image_id,
        key=upload_key(image_id, name),
        rev=0,
        status=Status.PENDING,
        generation=1,
        created_ms=now_ms,
        requested_ms=now_ms,
        original_name=name,
        source="api",
        content_type=content_type,
        size_bytes=file.size,
        request_digest=digest_of(idempotency_key, name, _sha256(file)) if idempotency_key else None,
        deadline=now_ms + services.settings.pending_timeout_seconds * 1000,
    )
    record = first_or_again(new, services.records.create, partial(_begun_again, services), services)
    if record.version is None:
        _store(record, file, services)
    return accepted(record, request, response, services)


def _checked(file: UploadFile, services: Services) -> str:
    """The media type that the bytes have. Raises what a file is refused for."""
    if not file.size:
        raise EmptyFile
    if file.size > services.settings.max_post_bytes:
        raise TooLarge(file_too_large_message(services.settings))
    if len(file.filename or "") > MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"The file's name is longer than {MAX_NAME_CHARACTERS:,} characters.")
    kind = identify(file.file.read(SNIFFED_BYTES))
    allowed = services.settings.allowed_formats
    if kind is None or kind not in allowed:
        raise UnsupportedUpload(f"Formats that are taken: {named(allowed)}.")
    file.file.seek(0)
    return media_type(kind)


def _sha256(file: UploadFile) -> str:
    digest = hashlib.file_digest(file.file, "sha256")  # type: ignore[arg-type]  # a spooled file has what it takes
    file.file.seek(0)
    return digest.hexdigest()


def _begun_again(services: Services, earlier: Record) -> Record:
    """The record of an earlier try. Where that could not store the file, the image gets another chance."""
    if earlier.status is Status.FAILED and earlier.version is None:
        return services.records.reprocess(earlier, pending_seconds=services.settings.pending_timeout_seconds)
    return earlier


def _store(record: Record, file: UploadFile, services: Services) -> None:
    assert record.content_type
    try:
        services.storage.put_original(record.key, file.file, content_type=record.content_type)
    except Exception as error:
        # Whatever it was: nothing will come for this record, and the caller must know.
        log.exception("an upload could not be stored")
        with suppress(Superseded):  # it was stored after all, and the processor works on it
            image_ended(services.records.give_up(record, None, UploadIncomplete()))
        raise Unavailable from error
