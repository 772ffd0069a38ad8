"""Serve the bytes of an image: its thumbnails and its original."""

from __future__ import annotations

import logging
from functools import partial

from fastapi import Response
from fastapi.responses import RedirectResponse

from image_api.dependencies import Connected, find_record
from image_api.http import routing
from image_api.http.conditional import ETAG, etag_headers, immutable, is_known, not_modified
from image_api.http.error_responses import documented
from image_api.http.errors import NotFound, NotReady, ProcessingFailed, SizeMissing
from image_api.parameters import IfNoneMatch, ImageId, RenditionDigest, Size
from image_api.presentation import public_status
from image_api.responses import RETRY_AFTER_SECONDS
from image_api.schemas import OriginalLocation, OriginalResponse
from image_core.errors import Superseded
from image_core.keys import is_key_of, thumbnail_owner
from image_core.lifecycle.retries import until_settled
from image_core.model import Record, Status, ThumbnailInfo
from image_core.renditions import MEDIA_TYPES
from image_core.services import Services
from image_core.settings import Settings

router = routing.router("files", "/api/images/{image_id}")

log = logging.getLogger(__name__)


@router.get(
    "/thumbnails/{size}",
    responses={
        200: {
            "content": {
                type_: {"schema": {"type": "string", "format": "binary"}} for type_ in MEDIA_TYPES.values()
            },
            "description": "The thumbnail.",
            "headers": ETAG,
        },
        304: {"description": "The caller already has it (`If-None-Match`).", "headers": ETAG},
        **documented(NotFound, SizeMissing, NotReady, ProcessingFailed),
    },
    response_class=Response,
    summary="A thumbnail",
)
def get_thumbnail(
    image_id: ImageId,
    size: Size,
    services: Connected,
    v: RenditionDigest = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Returns the rendition of one name (see `renditions` of the image), upright and never enlarged.

    With the `v` of the image's URLs, caches may keep the response for a year. Without it, or with an old one, they
    ask each time whether it is still the current one.
    """

    def read() -> Response:
        info = _thumbnail(find_record(image_id, services), size, services.settings)
        # A key is never written twice with different bytes, so it is a strong ETag.
        etag = f'"{info.key.partition("/")[2].replace("/", "-")}"'
        headers = etag_headers(etag)
        if v is not None and v == info.digest:
            headers |= immutable(private=services.settings.api_key_secret_arn is not None)
        if is_known(etag, if_none_match):
            return not_modified(etag, info.content_type, headers)
        body = services.storage.get_thumbnail(info.key)
        if body is None:
            raise Superseded  # a newer attempt has finished since the record was read, and replaced the file
        return Response(body, media_type=info.content_type, headers=headers)

    return until_settled(read, busy=partial(NotReady, retry_after_seconds=RETRY_AFTER_SECONDS))


def _thumbnail(record: Record, size: str, settings: Settings) -> ThumbnailInfo:
    if record.thumbnails is not None:
        sizes = record.thumbnails.sizes
        if size not in sizes:
            raise SizeMissing(f"This image has no thumbnail of that size. It has: {', '.join(sizes)}.")
        _require_own(sizes[size], record)
        return sizes[size]
    if size not in settings.thumbnails:
        raise SizeMissing(f"There is no such thumbnail size. The sizes are: {', '.join(settings.thumbnails)}.")
    if record.status is Status.FAILED:
        raise ProcessingFailed
    raise NotReady(retry_after_seconds=RETRY_AFTER_SECONDS)


def _require_own(info: ThumbnailInfo, record: Record) -> None:
    """Raise `NotFound` unless this is a thumbnail of this image.

    Records are written by the processor, which opens hostile files. The API must not serve anything else for it.
    """
    owner = thumbnail_owner(info.key)
    if owner is None or owner[0] != record.image_id or info.content_type not in MEDIA_TYPES.values():
        log.error("a record names a thumbnail that is not its own", extra={"image_id": record.image_id})
        raise NotFound("This thumbnail does not belong to this image. Reprocess the image.")


@router.get(
    "/original",
    status_code=307,
    responses={
        307: {
            "description": "`Location` is a URL of the file, valid for a short time.",
            "headers": {"Location": {"description": "A presigned URL.", "schema": {"type": "string"}}},
        },
        **documented(NotFound, NotReady),
    },
    response_class=Response,
    summary="The original file",
)
def get_original(image_id: ImageId, services: Connected) -> Response:
    """Redirects to the file as it was uploaded, as an attachment with its original name."""
    url = _presigned(find_record(image_id, services), services)
    return RedirectResponse(url, status_code=307, headers={"Cache-Control": "no-store"})


@router.get(
    "/original/address",
    responses=documented(NotFound, NotReady),
    response_description="The URL.",
    summary="The URL of the original file",
)
def get_original_address(image_id: ImageId, services: Connected) -> OriginalResponse:
    """Returns the URL that `/original` redirects to. It is for scripts in a web page: they cannot see where a
    redirect leads, and would send their API key there."""
    record = find_record(image_id, services)
    url = _presigned(record, services)
    return OriginalResponse(status=public_status(record), data=OriginalLocation(url=url))


def _presigned(record: Record, services: Services) -> str:
    if not is_key_of(record.image_id, services.storage.uploads_bucket, record.key):
        log.error("a record names an original that is not its own", extra={"image_id": record.image_id})
        raise NotFound("The record of this image names a file of another image. Delete the image.")
    _require_arrival(record, services)
    return services.storage.presign_download(
        record.key,
        name=record.original_name,
        content_type=record.content_type,
        seconds=services.settings.download_url_seconds,
    )


def _require_arrival(record: Record, services: Services) -> None:
    if record.version is not None or services.storage.head(record.key) is not None:
        return
    if record.status is Status.FAILED:
        raise NotFound("The file of this image never arrived.")
    raise NotReady("The file of this image has not arrived yet.", retry_after_seconds=RETRY_AFTER_SECONDS)
