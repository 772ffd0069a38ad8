"""/api/uploads: presigned uploads, straight to the bucket."""

from __future__ import annotations

from fastapi import Request, Response

from image_api.dependencies import LOCATION_HEADER, PENDING_HEADERS, Connected, accepted
from image_api.http import routing
from image_api.http.body_limit import largest_file_message
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
from image_api.presentation import iso_time
from image_api.schemas import AcceptedAnswer, PresignedUpload, UploadAnswer, UploadRequest
from image_core.formats import media_type, named
from image_core.keys import upload_key
from image_core.model import Record, Status
from image_core.services import Services
from image_core.telemetry import note

router = routing.router("uploads", "/api/uploads")


@router.post(
    "",
    status_code=201,
    responses={
        200: {
            "model": AcceptedAnswer,
            "description": "The file of this `Idempotency-Key` is there already: nothing is left to send.",
            "headers": {**LOCATION_HEADER, **PENDING_HEADERS},
        },
        201: {"headers": LOCATION_HEADER},
        **documented(
            UnsupportedUpload, EmptyFile, ImageDeleted, TooLarge, WrongMediaType, InvalidRequest, KeyReused
        ),
    },
    response_model=UploadAnswer,
    response_description="Reserved.",
    summary="Reserve an upload of any size",
)
def reserve_upload(
    wanted: UploadRequest,
    request: Request,
    response: Response,
    services: Connected,
    idempotency_key: IdempotencyKey = None,
) -> UploadAnswer | Response:
    """Gives a URL to PUT the file to, with exactly the headers named. The image appears once the file is there.

    The same `Idempotency-Key` gives the same image: a fresh URL as long as its file has not come.
    """
    _check(wanted, services)
    settings = services.settings
    now_ms = services.records.now_ms()
    expires_ms = now_ms + settings.upload_url_seconds * 1000
    deadline = expires_ms + settings.pending_timeout_seconds * 1000
    image_id = image_id_for("POST /api/uploads", idempotency_key)
    note(image_id=image_id)
    sha256 = wanted.sha256.lower() if wanted.sha256 else None
    new = Record(
        image_id=image_id,
        key=upload_key(image_id, wanted.filename),
        rev=0,
        status=Status.RESERVED,
        generation=1,
        created_ms=now_ms,
        requested_ms=now_ms,
        original_name=wanted.filename or "image",
        source="api",
        content_type=wanted.content_type,
        size_bytes=wanted.size,
        announced_bytes=wanted.size,
        announced_sha256=sha256,
        request_digest=digest_of(idempotency_key, wanted.filename, wanted.content_type, wanted.size, sha256),
        deadline=deadline,
    )

    has_arrived = False

    def again(earlier: Record) -> Record:
        nonlocal has_arrived
        has_arrived = _has_arrived(earlier, services)
        return earlier if has_arrived else services.records.renew(earlier, deadline=deadline)

    record = first_or_again(new, services.records.reserve, again, services)
    if has_arrived:
        arrived = accepted(record, request, response, services)
        return Response(arrived.model_dump_json(), 200, dict(response.headers), "application/json")
    response.headers["Location"] = str(request.url_for("get_image", image_id=image_id))
    url, headers = services.storage.presign_upload(
        record.key,
        content_type=wanted.content_type,
        size_bytes=wanted.size,
        sha256=sha256,
        seconds=settings.upload_url_seconds,
    )
    return UploadAnswer(
        image_id=image_id, upload=PresignedUpload(url=url, headers=headers), expires_at=iso_time(expires_ms)
    )


def _check(wanted: UploadRequest, services: Services) -> None:
    """Raises what an upload is refused for."""
    if wanted.size == 0:
        raise EmptyFile
    if wanted.size > services.settings.max_image_bytes:
        raise TooLarge(largest_file_message(services.settings))
    allowed = services.settings.allowed_formats
    if wanted.content_type not in map(media_type, allowed):
        raise UnsupportedUpload(f"Formats that are taken: {named(allowed)}.")


def _has_arrived(record: Record, services: Services) -> bool:
    """Whether a file is there, be it that its event has not been looked at yet: S3 would refuse another one."""
    return record.status is not Status.RESERVED or services.storage.head(record.key) is not None
