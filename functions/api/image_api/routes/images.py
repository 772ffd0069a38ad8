"""/api/images: upload, list, read, update, reprocess, delete."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from itertools import accumulate
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response, UploadFile

from image_api.dependencies import Connected, change_record, find_record
from image_api.http import routing
from image_api.http.conditional import (
    ETAG,
    etag,
    etag_headers,
    json_bytes_response,
    json_response,
    require_match,
    serialized,
)
from image_api.http.error_responses import documented
from image_api.http.errors import (
    EmptyFile,
    ImageDeleted,
    InvalidRequest,
    KeyReused,
    NoCaption,
    NotFound,
    PreconditionFailed,
    SeveralFiles,
    TooLarge,
    UnsupportedUpload,
    WrongMediaType,
)
from image_api.idempotency import create_or_repeat, digest_of, image_id_for
from image_api.limits import MAX_PAGE_BYTES, accepted_media_type
from image_api.parameters import (
    CreatedAfter,
    CreatedBefore,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    ImageId,
    Order,
    Review,
    SearchText,
    Sha256,
    milliseconds,
)
from image_api.responses import LOCATION_HEADER, PENDING_HEADERS, accepted, pending_headers, present
from image_api.schemas import (
    AcceptedResponse,
    ImagePatch,
    ImageResponse,
    ListResponse,
    PatchedResponse,
    PublicStatus,
)
from image_api.texts import merged, warnings_about
from image_core.errors import BadCursor, BadQuery, Superseded, Unavailable, UploadIncomplete
from image_core.keys import upload_key
from image_core.lifecycle.delete import delete, mark_for_caller
from image_core.model import Record, Stage, Status
from image_core.services import Services
from image_core.stores.queries import Listing, Page
from image_core.stores.queue import ObjectEvent
from image_core.stores.search import Found
from image_core.telemetry import image_ended, note

log = logging.getLogger(__name__)

_ENVELOPE_BYTES = 2_600
"""Maximum number of bytes in a list besides its images, mainly the cursor, which contains the query."""
_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "The image has not changed (`If-None-Match`).", "headers": ETAG}
}

router = routing.router("images", "/api/images")


@router.post(
    "",
    status_code=202,
    responses={
        202: {"headers": {**LOCATION_HEADER, **PENDING_HEADERS}},
        **documented(
            UnsupportedUpload,
            EmptyFile,
            SeveralFiles,
            ImageDeleted,
            TooLarge,
            WrongMediaType,
            InvalidRequest,
            KeyReused,
        ),
    },
    response_description="Accepted.",
    summary="Upload an image",
)
def upload_image(
    file: UploadFile,
    request: Request,
    response: Response,
    services: Connected,
    idempotency_key: IdempotencyKey = None,
) -> AcceptedResponse:
    """Stores the multipart field `file` and processes it in the background.

    The format is detected from the bytes, not from the file's name or content type. Safe to retry with the same
    `Idempotency-Key`: the response then has the current state of the image.
    """
    content_type = accepted_media_type(file, services.settings)
    name = file.filename or "image"
    now_ms = services.clock.now_ms()
    image_id = image_id_for("POST /api/images", idempotency_key)
    note(image_id=image_id)
    new = Record.new(
        image_id,
        upload_key(image_id, name),
        now_ms=now_ms,
        original_name=name,
        source="api",
        content_type=content_type,
        size_bytes=file.size,
        request_digest=digest_of(idempotency_key, name, _sha256(file)) if idempotency_key else None,
        deadline=now_ms + services.settings.pending_timeout_seconds * 1000,
    )

    def again(earlier: Record) -> Record:
        never_stored = earlier.status is Status.FAILED and earlier.version is None
        return _reprocessed(earlier, services) if never_stored else earlier

    record = create_or_repeat(new, services.records.create, again, services)
    if record.version is None:
        _store(record, file, services)
    return accepted(record, request, response, services)


def _sha256(file: UploadFile) -> str:
    digest = hashlib.file_digest(file.file, "sha256")  # type: ignore[arg-type]  # a spooled file has the methods
    file.file.seek(0)
    return digest.hexdigest()


def _reprocessed(record: Record, services: Services, stage: Stage = Stage.ALL, *, force: bool = False) -> Record:
    seconds = services.settings.pending_timeout_seconds
    return services.records.reprocess(record, pending_seconds=seconds, stage=stage, force=force)


def _store(record: Record, file: UploadFile, services: Services) -> None:
    assert record.content_type
    try:
        services.storage.put_original(record.key, file.file, content_type=record.content_type)
    except Exception as error:
        # Whatever the cause is: no event will come for this record, and the caller must get an error.
        log.exception("could not store an upload")
        with suppress(Superseded):  # it was stored after all, and the processor handles it
            image_ended(services.records.give_up(record, None, UploadIncomplete()))
        raise Unavailable from error


@router.get(
    "",
    response_model=ListResponse,
    response_description="A page.",
    responses={200: {"headers": ETAG}, **_NOT_MODIFIED, **documented(BadCursor, BadQuery, InvalidRequest)},
    summary="List images",
)
def list_images(
    request: Request,
    services: Connected,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of images on a page.")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=2048, description="`next_cursor` of the previous page of the same list.")
    ] = None,
    q: SearchText = None,
    status: Annotated[PublicStatus | None, Query(description="Only images that have this status now.")] = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    sha256: Sha256 = None,
    order: Order = None,
    review: Review = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Returns one page, newest or oldest images first. Each item is the response of `GET /api/images/{image_id}`.

    If you follow the cursors of a list without `status`, each image that existed at the first page appears once,
    even if other images are uploaded or deleted meanwhile. The cost of a page does not depend on the number of
    images.

    With `sha256`, an image is found as soon as its metadata are there.

    With `q`, only images that match a search: all words, in caption, title, alt text, tags, file name and camera.
    `"exact phrase"`, `-word`, `tag:lake`, `camera:canon`; `caption:none` and `alt:none` (images without one) only
    together with a word, `status` or `review`. A page of a search may be empty although later ones are not. A
    change is found a second or so after it was made.

    With `review=open`, only images that were processed successfully and have no alt text yet. Images without a
    confidence come first, then those with the lowest confidence; among equals, the oldest. An image leaves the
    list when it gets an alt text, even an empty one, and returns when that is cleared. The first page says how
    many there are (`review_count`).

    A page has at most `limit` images and 3,000,000 bytes. Only `next_cursor` shows whether there are more.
    """
    if review and (status or created_after or created_before or sha256 or order):
        raise BadQuery("`review` can only be combined with `q`, `limit` and `cursor`.")
    listing = Listing(
        status=Status(status) if status else None,
        from_ms=milliseconds(created_after) if created_after else None,
        until_ms=milliseconds(created_before) if created_before else None,
        sha256=sha256,
        q=q,
        oldest_first=order == "oldest",
        review=review is not None,
    )
    review_count = services.records.count_open() if review and q is None and cursor is None else None
    if q is None:
        found = Found(services.records.read(listing, limit=limit, cursor=cursor))
    else:
        found = services.search.find(listing, limit=limit, cursor=cursor)
    page, warnings = found.page, list(found.warnings)
    images = [present(record, request, services) for record in page.records]

    def page_of(page: Page) -> bytes:
        fitting = images[: len(page.records)]
        return serialized(
            ListResponse(data=fitting, next_cursor=page.next_cursor, warnings=warnings, review_count=review_count)
        )

    content = page_of(page)
    if len(content) > MAX_PAGE_BYTES:
        content = page_of(page.first(_fitting(images)))
    return json_bytes_response(content, if_none_match)


def _fitting(images: list[ImageResponse]) -> int:
    """How many of these images fit on a page: at least one."""
    room = MAX_PAGE_BYTES - _ENVELOPE_BYTES
    return max(1, sum(size <= room for size in accumulate(len(serialized(one)) + 1 for one in images)))


@router.get(
    "/{image_id}",
    response_model=ImageResponse,
    response_description="The image.",
    responses={200: {"headers": {**ETAG, **PENDING_HEADERS}}, **_NOT_MODIFIED, **documented(NotFound)},
    summary="One image",
)
def get_image(
    image_id: ImageId,
    request: Request,
    services: Connected,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Returns status, metadata, caption and thumbnails of an image, as far as they are known."""
    body = _one(find_record(image_id, services), request, services)
    return json_response(body, if_none_match, pending_headers(body.status))


def _one(record: Record, request: Request, services: Services) -> ImageResponse:
    """The response about one image, which its ETag is computed from. A list does not look for duplicates."""
    original = services.records.original_of(record)
    return present(record, request, services, duplicate_of=original.image_id if original else None)


@router.patch(
    "/{image_id}",
    response_model=PatchedResponse,
    response_description="The image with its new texts.",
    responses={
        200: {"headers": ETAG},
        **documented(NotFound, NoCaption, PreconditionFailed, TooLarge, WrongMediaType, InvalidRequest),
    },
    summary="Set title, alt text and tags",
)
def describe_image(
    image_id: ImageId,
    patch: ImagePatch,
    request: Request,
    services: Connected,
    if_match: IfMatch = None,
) -> Response:
    """Sets `title`, `alt_text` and `tags`. A member that is left out keeps its value; null clears it.

    `alt_text_from` accepts the image's caption as its alt text. `warnings` in the response says what people who
    hear the alt text may dislike; it is saved all the same.

    The body is a JSON merge patch, sent as `application/merge-patch+json` or `application/json`. Captions,
    reprocessing and a new file under the same key never change these texts.

    If you send the image's `text_etag` as `If-Match`, the call fails with 412 if someone else has changed these
    texts since you read them. With the `ETag` of the response, it fails after any change, such as a new caption.
    """

    def described(record: Record) -> Record:
        _require_match(record, if_match, request, services)
        texts: dict[str, Any] = {
            name: getattr(record, name) for name in ("title", "alt_text", "alt_text_source", "tags")
        }
        texts |= {name: getattr(patch, name) for name in patch.model_fields_set - {"alt_text_from"}}
        if "alt_text" in patch.model_fields_set:
            texts["alt_text_source"] = None if patch.alt_text is None else "person"
        if patch.alt_text_from is not None:
            if record.caption is None:
                raise NoCaption
            texts |= {"alt_text": record.caption, "alt_text_source": "caption"}
        tags = merged(texts.pop("tags") or ()) or None
        return services.records.describe(record, tags=tags, **texts)

    record = change_record(image_id, services, described)
    image = _one(record, request, services)
    body = PatchedResponse(**dict(image), warnings=warnings_about(record))
    return Response(serialized(body), media_type="application/json", headers=etag_headers(etag(serialized(image))))


def _require_match(record: Record, if_match: str | None, request: Request, services: Services) -> None:
    if if_match is not None:
        body = _one(record, request, services)
        require_match(body, if_match, body.data.text_etag)


@router.post(
    "/{image_id}/reprocess",
    status_code=202,
    responses={202: {"headers": {**LOCATION_HEADER, **PENDING_HEADERS}}, **documented(NotFound, InvalidRequest)},
    response_description="Accepted.",
    summary="Process an image again",
)
def reprocess_image(
    image_id: ImageId,
    request: Request,
    response: Response,
    services: Connected,
    stage: Annotated[
        Literal["all", "thumbnails", "caption"],
        Query(description="What to recreate; `thumbnails` includes the metadata. The default is `all`."),
    ] = "all",
    force: Annotated[
        bool, Query(description="Compute the caption even if one of the same bytes and model could be copied.")
    ] = False,
) -> AcceptedResponse:
    """Runs the pipeline again, after a failure or a success. The old results stay until it ends.

    The caption is copied if this or another image with the same bytes has one of the current model and settings;
    `force=true` computes it. `stage=caption` keeps thumbnails and metadata; `stage=thumbnails` keeps the caption
    and does not run the model. Results that are missing or belong to an earlier version of the file are also
    recreated, as well as results that an earlier call requested and that do not exist yet. `stages` in the response
    shows what is pending.
    """

    def begin(record: Record) -> Record:
        if record.status is Status.RESERVED:
            return record  # it has not been processed for the first time yet
        return _reprocessed(record, services, Stage(stage), force=force)

    record = change_record(image_id, services, begin)
    try:
        services.queue.send(ObjectEvent(services.storage.uploads_bucket, record.key))
    except Exception:
        # The record is pending, so the sweep will send the message.
        log.exception("could not send the message of a reprocess")
    return accepted(record, request, response, services)


@router.delete(
    "/{image_id}",
    status_code=204,
    responses=documented(NotFound, PreconditionFailed),
    response_description="Deleted.",
    summary="Delete an image",
)
def delete_image(
    image_id: ImageId,
    request: Request,
    services: Connected,
    if_match: IfMatch = None,
) -> None:
    """Deletes original, thumbnails and record."""

    def marked(record: Record) -> Record:
        _require_match(record, if_match, request, services)
        return mark_for_caller(record, services)

    deleted = change_record(image_id, services, marked)
    try:
        delete(deleted, services)
    except Exception:
        # The image is already hidden. The sweep removes the rest.
        log.exception("the sweep will finish a deletion")
