"""/api/uploads: presigned uploads, straight to the bucket."""

from __future__ import annotations

from fastapi import APIRouter

from image_api.dependencies import Connected
from image_api.errors import documented
from image_api.presentation import iso_time
from image_api.schemas import PresignedUpload, UploadAnswer, UploadRequest
from image_core.errors import EmptyFile, TooLarge, UnsupportedUpload
from image_core.formats import media_type, named
from image_core.keys import new_image_id, upload_key
from image_core.models import Record, Status
from image_core.telemetry import note

router = APIRouter(prefix="/api/uploads", tags=["uploads"])


@router.post(
    "",
    status_code=201,
    responses=documented(UnsupportedUpload, EmptyFile, TooLarge),
    summary="Reserve an upload of any size",
)
def reserve_upload(wanted: UploadRequest, services: Connected) -> UploadAnswer:
    """Gives a URL to PUT the file to, with exactly the headers named. The image appears once the file is there."""
    settings = services.settings
    if wanted.size == 0:
        raise EmptyFile
    if wanted.size > settings.max_image_bytes:
        raise TooLarge(f"The largest file that is taken has {settings.max_image_bytes:,} bytes.")
    if wanted.content_type not in map(media_type, settings.allowed_formats):
        raise UnsupportedUpload(f"Formats that are taken: {named(settings.allowed_formats)}.")
    now_ms = services.records.now_ms()
    expires_ms = now_ms + settings.upload_url_seconds * 1000
    image_id = new_image_id()
    note(image_id=image_id)
    record = services.records.reserve(
        Record(
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
            deadline=expires_ms + settings.pending_timeout_seconds * 1000,
        )
    )
    url, headers = services.storage.presign_upload(
        record.key,
        content_type=wanted.content_type,
        size_bytes=wanted.size,
        seconds=settings.upload_url_seconds,
    )
    return UploadAnswer(
        image_id=image_id, upload=PresignedUpload(url=url, headers=headers), expires_at=iso_time(expires_ms)
    )
