"""Parameters of several calls."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Header, Path, Query
from pydantic import AfterValidator

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(text: str) -> int:
    """An RFC 3339 time as ms since 1970. Raises `ValueError` for anything else."""
    if _RFC3339.fullmatch(text):
        # Python knows neither the year 0 nor leap seconds; before all images a leap year is as good as another.
        known = text.replace("0000", "0004", 1) if text.startswith("0000") else text
        leap = known[17:19] == "60"
        known = f"{known[:17]}59{known[19:]}" if leap else known
        with suppress(ValueError):
            return (datetime.fromisoformat(known.upper()) - _EPOCH) // timedelta(milliseconds=1) + 1000 * leap
    raise ValueError("not a time like 2026-11-20T10:00:00Z (in a URL, write + as %2B)")


def _valid_time(text: str) -> str:
    milliseconds(text)
    return text


# The patterns are for the documentation only: a malformed value gets a 404, not a 422.
ImageId = Annotated[
    str,
    Path(
        json_schema_extra={"pattern": "^img_[0-9a-hjkmnp-tv-z]{26}$"}, examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"]
    ),
]
Size = Annotated[str, Path(json_schema_extra={"enum": ["small", "medium"]})]
_Time = Annotated[str, AfterValidator(_valid_time)]
_TIME_SCHEMA = {"format": "date-time"}

CreatedAfter = Annotated[
    _Time | None,
    Query(
        description="Only images created at this time or later (RFC 3339).",
        json_schema_extra=_TIME_SCHEMA,
        examples=["2026-11-20T10:00:00Z"],
    ),
]
CreatedBefore = Annotated[
    _Time | None,
    Query(
        description="Only images created before this time (RFC 3339).",
        json_schema_extra=_TIME_SCHEMA,
        examples=["2026-11-21T10:00:00Z"],
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description=(
            "A text of your choice for this request, for example a UUID. Safe to retry: the same key never creates"
            " a second image."
        ),
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match", description="An `ETag` of this image: 412, and no change, if the image has changed since."
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="An earlier `ETag`: 304 without a body if nothing has changed."),
]
