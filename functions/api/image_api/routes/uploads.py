"""/api/uploads: presigned uploads, straight to the bucket."""

from __future__ import annotations

from fastapi import Request, Response

from image_api.dependencies import Connected
from image_api.http import routing
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
from image_api.idempotency import create_or_repeat, digest_of, image_id_for
from image_api.limits import announced_media_type
from image_api.parameters import IdempotencyKey
from image_api.presentation import iso_time
from image_api.responses import LOCATION_HEADER, PENDING_HEADERS, accepted
from image_api.schemas import AcceptedResponse, PresignedUpload, UploadRequest, UploadResponse
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
            "model": AcceptedResponse,
            "description": "The file of this `Idempotency-Key` has already arrived. There is nothing left to send.",
            "headers": {**LOCATION_HEADER, **PENDING_HEADERS},
        },
        201: {"headers": LOCATION_HEADER},
        **documented(
            UnsupportedUpload, EmptyFile, ImageDeleted, TooLarge, WrongMediaType, InvalidRequest, KeyReused
        ),
    },
    response_model=UploadResponse,
    response_description="Reserved.",
    summary="Reserve an upload of any size",
)
def reserve_upload(
    wanted: UploadRequest,
    request: Request,
    response: Response,
    services: Connected,
    idempotency_key: IdempotencyKey = None,
) -> UploadResponse | Response:
    """Returns a URL to PUT the file to, with exactly the returned headers. The image appears once the file arrives.

    `content_type` may be any usual name of the format, or `application/octet-stream`: the bytes decide.

    Safe to retry with the same `Idempotency-Key`: until the file arrives, it returns a new URL for the same image.
    """
    settings = services.settings
    content_type = announced_media_type(wanted.size, wanted.content_type, settings)
    now_ms = services.clock.now_ms()
    expires_ms = now_ms + settings.upload_url_seconds * 1000
    deadline = now_ms + settings.upload_seconds * 1000
    image_id = image_id_for("POST /api/uploads", idempotency_key)
    note(image_id=image_id)
    sha256 = wanted.sha256.lower() if wanted.sha256 else None
    new = Record.new(
        image_id,
        upload_key(image_id, wanted.filename),
        now_ms=now_ms,
        original_name=wanted.filename or "image",
        source="api",
        content_type=content_type,
        size_bytes=wanted.size,
        announced_bytes=wanted.size,
        announced_sha256=sha256,
        request_digest=digest_of(idempotency_key, wanted.filename, content_type, wanted.size, sha256),
        deadline=deadline,
        upload_until=deadline,
    )

    def first(record: Record) -> tuple[Record, bool]:
        return services.records.reserve(record), False

    def again(earlier: Record) -> tuple[Record, bool]:
        if _has_arrived(earlier, services):
            return earlier, True
        return services.records.renew(earlier, deadline=deadline), False

    record, has_arrived = create_or_repeat(new, first, again, services)
    if has_arrived:
        body = accepted(record, request, response, services)
        return Response(body.model_dump_json(), 200, dict(response.headers), "application/json")
    response.headers["Location"] = str(request.url_for("get_image", image_id=image_id))
    url, headers = services.storage.presign_upload(
        record.key,
        content_type=content_type,
        size_bytes=wanted.size,
        sha256=sha256,
        seconds=settings.upload_url_seconds,
    )
    return UploadResponse(
        image_id=image_id, upload=PresignedUpload(url=url, headers=headers), expires_at=iso_time(expires_ms)
    )


def _has_arrived(record: Record, services: Services) -> bool:
    """True once the file is in the bucket, even if its event is unprocessed: S3 would reject a second PUT."""
    return record.status is not Status.RESERVED or services.storage.head(record.key) is not None
