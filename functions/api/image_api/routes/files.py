"""The bytes of an image: its thumbnails and its original."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from image_api.dependencies import Connected, find_record
from image_api.errors import documented
from image_api.presentation import shown_status
from image_api.schemas import OriginalAnswer, OriginalLocation
from image_core.errors import NotFound, NotReady, ProcessingFailed
from image_core.models import Record, Status, ThumbnailInfo
from image_core.services import Services

router = APIRouter(prefix="/api/images/{image_id}", tags=["files"])

_RETRY_AFTER_SECONDS = 2
_TRIES = 3


@router.get(
    "/thumbnails/{size}",
    responses={
        200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The thumbnail."},
        304: {"description": "The caller has it already (`If-None-Match`)."},
        **documented(NotFound, NotReady, ProcessingFailed),
    },
    response_class=Response,
    summary="A thumbnail: small (150 px) or medium (300 px)",
)
def get_thumbnail(image_id: str, size: str, request: Request, services: Connected) -> Response:
    """The thumbnail itself, upright and never enlarged."""
    if size not in services.settings.thumbnail_pixels:
        raise NotFound("There is no such thumbnail size.")
    for _ in range(_TRIES):
        record = find_record(image_id, services)
        info = _thumbnail(record, size)
        # A key is never written twice with different bytes, so it makes a strong ETag.
        etag = f'"{info.key.partition("/")[2].replace("/", "-")}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if etag in _etags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        body = services.storage.get_thumbnail(info.key)
        if body is not None:
            return Response(body, media_type=info.content_type, headers=headers)
        # A newer attempt has finished since the record was read, and took its place.
    raise NotReady(retry_after_seconds=_RETRY_AFTER_SECONDS)


def _thumbnail(record: Record, size: str) -> ThumbnailInfo:
    if record.thumbnails is not None:
        return record.thumbnails.sizes[size]
    if record.status is Status.FAILED:
        raise ProcessingFailed
    raise NotReady(retry_after_seconds=_RETRY_AFTER_SECONDS)


def _etags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


@router.get(
    "/original",
    status_code=307,
    responses={
        200: {
            "model": OriginalAnswer,
            "description": "Where the file is, for a short time (`Accept: application/json`).",
        },
        307: {"description": "Where the file is, for a short time."},
        **documented(NotFound, NotReady),
    },
    response_class=Response,
    summary="The original file",
)
def get_original(image_id: str, request: Request, services: Connected) -> Response:
    """Redirects to the file as it was uploaded, as an attachment under its own name.

    Who asks for `application/json` gets the address instead: a script in a page cannot see where it is redirected
    to, and must not send its key there.
    """
    record = find_record(image_id, services)
    _require_arrival(record, services)
    url = services.storage.presign_download(
        record.key,
        name=record.original_name,
        content_type=record.content_type,
        seconds=services.settings.download_url_seconds,
    )
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if "application/json" in request.headers.get("accept", ""):
        body = OriginalAnswer(status=shown_status(record), data=OriginalLocation(url=url))
        return Response(body.model_dump_json(), media_type="application/json", headers=headers)
    return RedirectResponse(url, status_code=307, headers=headers)


def _require_arrival(record: Record, services: Services) -> None:
    if record.version is not None or services.storage.head(record.key) is not None:
        return
    if record.status is Status.FAILED:
        raise NotFound("The file of this image never arrived.")
    raise NotReady("The file of this image has not arrived yet.", retry_after_seconds=_RETRY_AFTER_SECONDS)
