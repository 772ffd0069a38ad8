"""What routes ask for: the services, and the record that an id stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from image_api.presentation import image_answer
from image_api.schemas import ImageAnswer
from image_core.errors import NotFound, Superseded, Unavailable
from image_core.keys import is_image_id
from image_core.models import Record, Status
from image_core.services import Services

_T = TypeVar("_T")
_TRIES = 5


def _services(request: Request) -> Services:
    connected: Services = request.app.state.services()
    return connected


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
    return image_answer(
        record,
        lambda image_id, size: str(request.url_for("get_thumbnail", image_id=image_id, size=size)),
        expose_gps=services.settings.expose_gps,
    )
