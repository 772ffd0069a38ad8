"""Parameters that several calls share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Header, Path, Query
from pydantic import AwareDatetime, ValidatorFunctionWrapHandler, WrapValidator

from image_core.search.query import MAX_CHARACTERS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(time: datetime) -> int:
    """A time as ms since 1970."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _date_and_time(text: str, parse: ValidatorFunctionWrapHandler) -> datetime:
    """Reject Unix times and dates without a time, which pydantic accepts. The error says how to write a time."""
    try:
        if text[10:11] not in ("T", "t"):
            raise ValueError
        time: datetime = parse(text)
    except ValueError:
        raise ValueError("not a time like 2026-11-20T10:00:00Z (in a URL, write + as %2B)") from None
    return time


# The patterns are for the documentation only: a malformed value gets a 404, not a 422.
ImageId = Annotated[
    str,
    Path(
        json_schema_extra={"pattern": "^img_[0-9a-hjkmnp-tv-z]{26}$"}, examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"]
    ),
]
Size = Annotated[str, Path(json_schema_extra={"pattern": "^[a-z][a-z0-9-]{0,19}$"}, examples=["small"])]
RenditionDigest = Annotated[
    str | None,
    Query(description="Identifies the bytes, as in the image's URLs.", examples=["b94d27b9934d3e08"]),
]
_Time = Annotated[AwareDatetime, WrapValidator(_date_and_time)]

CreatedAfter = Annotated[
    _Time | None,
    Query(
        description="Only images created at this time or later (RFC 3339).",
        examples=["2026-11-20T10:00:00Z"],
    ),
]
CreatedBefore = Annotated[
    _Time | None,
    Query(
        description="Only images created before this time (RFC 3339).",
        examples=["2026-11-21T10:00:00Z"],
    ),
]
SearchText = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_CHARACTERS,
        description="Only images that match this search.",
        examples=['lake "red boat" -people tag:summer'],
    ),
]
Review = Annotated[
    Literal["open"] | None,
    Query(
        description="Only images to review, lowest confidence first. Can only be combined with `q`, `limit` and"
        " `cursor`."
    ),
]
Sha256 = Annotated[
    str | None,
    Query(
        pattern="^[0-9a-f]{64}$",
        description="Only images whose original has this SHA-256 (hex).",
        examples=["b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"],
    ),
]
Order = Annotated[
    Literal["newest", "oldest"] | None,
    Query(description="Which images come first. Default: the newest.", examples=["oldest"]),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description=(
            "A unique text for this request, for example a UUID. Safe to retry: the same key never creates"
            " a second image."
        ),
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The image's `text_etag`, or an `ETag`: 412, and no change, if it is not current.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="An earlier `ETag`: 304 without a body if nothing has changed."),
]
