"""/api/images: list, read, describe, reprocess, delete."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import Query, Request, Response

from image_api.dependencies import (
    LOCATION_HEADER,
    PENDING_HEADERS,
    Connected,
    accepted,
    find_record,
    pending_headers,
    present,
    with_record,
)
from image_api.http import routing
from image_api.http.conditional import ETAG, json_answer, require_match
from image_api.http.error_responses import documented
from image_api.http.errors import InvalidRequest, NotFound, PreconditionFailed, TooLarge, WrongMediaType
from image_api.parameters import CreatedAfter, CreatedBefore, IfMatch, IfNoneMatch, ImageId, milliseconds
from image_api.schemas import AcceptedAnswer, ImageAnswer, ImagePatch, ListAnswer, ShownStatus
from image_core.errors import BadCursor
from image_core.lifecycle.delete import delete, mark
from image_core.model import Record, Status
from image_core.stores.queue import Look

log = logging.getLogger(__name__)

_UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed (`If-None-Match`).", "headers": ETAG}
}

router = routing.router("images", "/api/images")


@router.get(
    "",
    response_model=ListAnswer,
    response_description="A page.",
    responses={200: {"headers": ETAG}, **_UNCHANGED, **documented(BadCursor, InvalidRequest)},
    summary="List images, newest first",
)
def list_images(
    request: Request,
    services: Connected,
    limit: Annotated[int, Query(ge=1, le=100, description="Images on a page.")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=512, description="`next_cursor` of the page before, of the same list.")
    ] = None,
    status: Annotated[ShownStatus | None, Query(description="Only images that have this status now.")] = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One page; each item is what `GET /api/images/{image_id}` answers.

    Following the cursors of a list without `status` shows each image that was there at the first page once,
    whatever is uploaded or deleted meanwhile. A page costs the same for any number of images.
    """
    page = services.records.page(
        limit=limit,
        cursor=cursor,
        status=Status(status) if status else None,
        from_ms=milliseconds(created_after) if created_after else None,
        until_ms=milliseconds(created_before) if created_before else None,
    )
    shown = [present(record, request, services) for record in page.records]
    return json_answer(ListAnswer(data=shown, next_cursor=page.next_cursor), if_none_match)


@router.get(
    "/{image_id}",
    response_model=ImageAnswer,
    response_description="The image.",
    responses={200: {"headers": {**ETAG, **PENDING_HEADERS}}, **_UNCHANGED, **documented(NotFound)},
    summary="One image",
)
def get_image(
    image_id: ImageId,
    request: Request,
    services: Connected,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Status, metadata, caption and thumbnails of an image, as far as they are known."""
    shown = present(find_record(image_id, services), request, services)
    return json_answer(shown, if_none_match, pending_headers(shown.status))


@router.patch(
    "/{image_id}",
    response_model=ImageAnswer,
    response_description="The image, as it is described now.",
    responses={
        200: {"headers": ETAG},
        **documented(NotFound, PreconditionFailed, TooLarge, WrongMediaType, InvalidRequest),
    },
    summary="Describe an image in words of your own",
)
def describe_image(
    image_id: ImageId,
    patch: ImagePatch,
    request: Request,
    services: Connected,
    if_match: IfMatch = None,
) -> Response:
    """Sets `title`, `alt_text`, `tags`; what is left out stays, null clears.

    The body is a JSON merge patch, sent as `application/merge-patch+json` or `application/json`. The words stay
    whatever becomes of the image: captions, reprocessing, another file under the same key. With `If-Match` nobody
    overwrites what somebody else has written since.
    """

    def described(record: Record) -> Record:
        require_match(present(record, request, services), if_match)
        words: dict[str, Any] = {"title": record.title, "alt_text": record.alt_text, "tags": record.tags}
        words |= {name: getattr(patch, name) for name in patch.model_fields_set}
        tags = tuple(dict.fromkeys(words.pop("tags") or ())) or None
        return services.records.describe(record, tags=tags, **words)

    return json_answer(present(with_record(image_id, services, described), request, services))


@router.post(
    "/{image_id}/reprocess",
    status_code=202,
    responses={202: {"headers": {**LOCATION_HEADER, **PENDING_HEADERS}}, **documented(NotFound)},
    response_description="Taken.",
    summary="Process an image again",
)
def reprocess_image(image_id: ImageId, request: Request, response: Response, services: Connected) -> AcceptedAnswer:
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
    """Removes original, thumbnails and record."""

    def marked(record: Record) -> Record:
        require_match(present(record, request, services), if_match)
        return mark(record, services, services.storage.head(record.key))

    deleted = with_record(image_id, services, marked)
    try:
        delete(deleted, services)
    except Exception:
        # It is deleted for whoever asks; what is left to remove, the sweep removes.
        log.exception("a deletion is left to the sweep")
