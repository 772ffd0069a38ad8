"""Dependencies of the routes: the services, and the record of an image id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from image_api.http.errors import NotFound
from image_core.errors import Unavailable
from image_core.keys import is_image_id
from image_core.lifecycle.retries import until_settled
from image_core.model import Record, Status
from image_core.services import Services

_T = TypeVar("_T")


async def _services(request: Request) -> Services:  # FastAPI would run a plain function in a thread
    services: Services = request.app.state.services
    return services


Connected = Annotated[Services, Depends(_services)]


def find_record(image_id: str, services: Services) -> Record:
    """Read the record of a visible or reserved image. Raises `NotFound`."""
    record = services.records.get(image_id) if is_image_id(image_id) else None
    if record is None or record.status is Status.DELETING:
        raise NotFound
    return record


def change_record(image_id: str, services: Services, change: Callable[[Record], _T]) -> _T:
    """Apply `change` to the record; after a lost race, read it again. Raises `NotFound`, `Unavailable`."""
    return until_settled(lambda: change(find_record(image_id, services)), busy=Unavailable)
