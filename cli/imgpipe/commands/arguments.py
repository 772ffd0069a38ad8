"""Arguments that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from imgpipe.images import is_image_id


class Status(StrEnum):
    """Statuses that a list can be filtered by."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


def _checked_ids(ids: list[str]) -> list[str]:
    for image_id in ids or []:
        if not is_image_id(image_id):
            raise typer.BadParameter(f"{image_id!r} is not an image id. `imgpipe list` shows the ids.")
    return list(dict.fromkeys(ids or []))


def utc_time(text: str | None) -> str | None:
    """Convert an ISO 8601 date or time for the API. Without a zone it is local. Raises `typer.BadParameter`."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("Expected a date or time, such as 2026-11-20 or 2026-11-20T10:00:00Z.") from error


def checked_query(text: str | None) -> str | None:
    """Return a query. Raises `typer.BadParameter` if it is empty, for example because a variable is not set."""
    if text is not None and not text.strip(" -"):
        raise typer.BadParameter("Enter a word to search for.")
    return text


Ids = Annotated[list[str], typer.Argument(metavar="ID", callback=_checked_ids, help="Ids of images.")]
AnyIds = Annotated[list[str] | None, typer.Argument(metavar="ID", callback=_checked_ids, help="Ids of images.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", callback=lambda value: _checked_ids([value])[0], help="An image's id.")
]
_WHEN = "Date or time (ISO 8601; local without a zone)."
OfStatus = Annotated[Status | None, typer.Option("--status", help="Only images with this status.")]
CreatedAfter = Annotated[
    str | None,
    typer.Option(metavar="TIME", callback=utc_time, help=f"Only images created at this time or later. {_WHEN}"),
]
CreatedBefore = Annotated[
    str | None,
    typer.Option(metavar="TIME", callback=utc_time, help=f"Only images created before this time. {_WHEN}"),
]
Query = Annotated[
    str | None,
    typer.Option(
        "--query",
        metavar="TEXT",
        callback=checked_query,
        help="Only images that match this search, as in `imgpipe search`.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="How many images to handle in parallel.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the images are processed, and show the captions.")]
