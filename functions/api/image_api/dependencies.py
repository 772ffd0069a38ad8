"""What routes ask for: the services, and the record that an id stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response

from image_api.http.errors import NotFound
from image_api.presentation import image_answer
from image_api.schemas import AcceptedAnswer, ImageAnswer
from image_core.errors import Superseded, Unavailable
from image_core.keys import is_image_id
from image_core.model import Record, Status
from image_core.services import Services

_T = TypeVar("_T")
_TRIES = 5

RETRY_AFTER_SECONDS = 2
"""When it makes sense to ask again for an image in work."""
PENDING_HEADERS = {
    "Retry-After": {
        "description": "While the image is not finished: seconds to wait before asking again.",
        "schema": {"type": "integer"},
    }
}
LOCATION_HEADER = {"Location": {"description": "Where to watch the image.", "schema": {"type": "string"}}}


async def _services(request: Request) -> Services:  # a plain function would get a thread
    services: Services = request.app.state.services
    return services


Connected = Annotated[Services, Depends(_services)]


def find_record(image_id: str, services: Services) -> Record:
    """The record of a shown or reserved image. Raises `NotFound`."""
    record = services.records.get(image_id) if is_image_id(image_id) else None
    if record is None or record.status is Status.DELETING:
        raise NotFound
    return record


def with_record(image_id: str, services: Services, change: Callable[[Record], _T]) -> _T:
    """Applies `change` to the record, anew where somebody else was faster. Raises `NotFound`, `Unavailable`."""
    for _ in range(_TRIES):
        try:
            return change(find_record(image_id, services))
        except Superseded:
            continue
    raise Unavailable


def present(record: Record, request: Request, services: Services) -> ImageAnswer:
    """The envelope of one image, with URLs on the host that the caller used."""
    # As request.url_for, which would look through all routes, twice for each image of a page.
    base, path = str(request.base_url).rstrip("/"), request.app.state.thumbnail_path
    return image_answer(
        record,
        lambda image_id, size: base + path.format(image_id=image_id, size=size),
        expose_gps=services.settings.expose_gps,
    )


def pending_headers(status: str) -> dict[str, str]:
    """`Retry-After`, as long as there is something to wait for."""
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in ("pending", "processing") else {}


def accepted(record: Record, request: Request, response: Response, services: Services) -> AcceptedAnswer:
    """The answer about an image that was taken; `Location` is where to watch it."""
    shown = present(record, request, services)
    response.headers["Location"] = str(request.url_for("get_image", image_id=record.image_id))
    response.headers.update(pending_headers(shown.status))
    return AcceptedAnswer(image_id=record.image_id, status=shown.status, data=shown.data, error=shown.error)
