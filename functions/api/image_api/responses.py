"""Responses about one image: the record with URLs on the caller's host, `Location` and `Retry-After`."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from image_api.presentation import image_response
from image_api.schemas import AcceptedResponse, ImageResponse
from image_core.model import Record
from image_core.services import Services

RETRY_AFTER_SECONDS = 2
"""Seconds to wait before the next request for an image that is being processed."""
PENDING_HEADERS: dict[str, Any] = {
    "Retry-After": {
        "description": "While the image is not finished: seconds to wait before the next request.",
        "schema": {"type": "integer"},
    }
}
LOCATION_HEADER: dict[str, Any] = {
    "Location": {"description": "The URL of the image.", "schema": {"type": "string"}}
}


def present(
    record: Record, request: Request, services: Services, *, duplicate_of: str | None = None
) -> ImageResponse:
    """The envelope of one image, with URLs on the host that the caller used."""
    # Like request.url_for, which would search all routes, twice for each image on a page.
    base, path = str(request.base_url).rstrip("/"), request.app.state.thumbnail_path
    return image_response(
        record,
        lambda size: base + path.format(image_id=record.image_id, size=size),
        expose_gps=services.settings.expose_gps,
        duplicate_of=duplicate_of,
    )


def pending_headers(status: str) -> dict[str, str]:
    """`Retry-After` while the image is not finished."""
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in ("pending", "processing") else {}


def accepted(record: Record, request: Request, response: Response, services: Services) -> AcceptedResponse:
    """The body for an accepted image. Sets `Location` and `Retry-After` on `response`."""
    body = present(record, request, services)
    response.headers["Location"] = str(request.url_for("get_image", image_id=record.image_id))
    response.headers.update(pending_headers(body.status))
    return AcceptedResponse(image_id=record.image_id, status=body.status, data=body.data, error=body.error)
