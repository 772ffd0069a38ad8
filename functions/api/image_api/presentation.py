"""Convert a `Record` to the schemas, with pure functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from image_api.http.conditional import etag
from image_api.schemas import (
    ErrorBody,
    ImageData,
    ImageResponse,
    Metadata,
    ProcessingTimes,
    PublicStatus,
    Rendition,
    Stages,
    StageState,
    StatsResponse,
)
from image_core.histogram import percentile
from image_core.model import Record, Stats, Status, ThumbnailInfo

if TYPE_CHECKING:
    from collections.abc import Callable

PRIVATE_METADATA = "gps"
"""Where the picture was taken: shown only if `EXPOSE_GPS` is set."""


def public_status(record: Record) -> PublicStatus:
    """The status that users see. A reservation is `pending` until its file arrives."""
    return "pending" if record.status is Status.RESERVED else cast("PublicStatus", record.status.value)


def image_response(
    record: Record,
    thumbnail_url: Callable[[str], str],
    *,
    expose_gps: bool,
    duplicate_of: str | None = None,
) -> ImageResponse:
    """The envelope of one image. `thumbnail_url(size)` gives the URLs, without their query."""
    renditions = None
    if record.thumbnails is not None:
        renditions = [_rendition(size, info, thumbnail_url(size)) for size, info in record.thumbnails.sizes.items()]
    data = ImageData(
        image_id=record.image_id,
        original_name=record.original_name,
        title=record.title,
        alt_text=record.alt_text,
        alt_text_source=_alt_text_source(record),
        tags=list(record.tags or ()),
        text_etag=text_etag(record),
        content_type=record.content_type,
        source=record.source,
        created_at=iso_time(record.created_ms),
        processed_at=iso_time(record.processed_ms) if record.processed_ms is not None else None,
        generation=record.generation,
        processing_time_seconds=_seconds(record.processing_ms),
        metadata=_metadata(record, expose_gps=expose_gps, duplicate_of=duplicate_of),
        thumbnails=None if renditions is None else {one.name: one.url for one in renditions},
        renditions=renditions,
        stages=_stages(record),
    )
    return ImageResponse(
        status=public_status(record),
        data=data,
        error=ErrorBody(**record.error) if record.error else None,
    )


def _alt_text_source(record: Record) -> Literal["person", "caption"] | None:
    if record.alt_text is None:
        return None
    return "caption" if record.alt_text_source == "caption" else "person"


def text_etag(record: Record) -> str:
    """A strong ETag of only the user's texts: a caption or a new thumbnail does not change it."""
    return etag(json.dumps([record.title, record.alt_text, record.tags or ()]).encode())


def stats_response(stats: Stats) -> StatsResponse:
    """The statistics, with rates and seconds."""
    success, failed = stats.counts.get(Status.SUCCESS, 0), stats.counts.get(Status.FAILED, 0)
    in_progress = stats.counts.get(Status.PENDING, 0) + stats.counts.get(Status.PROCESSING, 0)
    finished = success + failed
    times = {name: percentile(stats.histogram, f) for name, f in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))}
    return StatsResponse(
        total=in_progress + finished,
        in_progress=in_progress,
        success=success,
        failed=failed,
        success_rate=_rate(success, finished),
        failure_rate=_rate(failed, finished),
        average_processing_time_seconds=_seconds(stats.processing_ms_total / success) if success else None,
        processing_time_seconds=ProcessingTimes(**{name: _seconds(time) for name, time in times.items()}),
    )


def iso_time(milliseconds: int) -> str:
    """A time in ms since 1970 as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _metadata(record: Record, *, expose_gps: bool, duplicate_of: str | None) -> Metadata | None:
    if record.metadata is None:
        return None
    fields: dict[str, Any] = dict(record.metadata)
    if not expose_gps:
        fields.pop(PRIVATE_METADATA, None)
    if record.caption_reason is not None:
        fields["caption_reason"] = record.caption_reason
    if duplicate_of is not None:
        fields["duplicate_of"] = duplicate_of
    return Metadata(
        **fields,
        caption=record.caption,
        caption_model=record.caption_model,
        caption_confidence=record.caption_confidence,
        caption_flags=None if record.caption_flags is None else list(record.caption_flags),
        caption_language=record.caption_language,
    )


def _rendition(name: str, info: ThumbnailInfo, url: str) -> Rendition:
    return Rendition(
        name=name,
        url=url + info.query,
        width=info.width,
        height=info.height,
        bytes=info.size_bytes,
        format=info.content_type.removeprefix("image/"),
    )


def _stages(record: Record) -> Stages:
    if record.status is Status.SUCCESS:
        return Stages(metadata="done", thumbnails="done", caption="done")
    not_done: StageState = "failed" if record.status is Status.FAILED else "pending"
    saved: StageState = "done" if record.has_saved() else not_done
    return Stages(metadata=saved, thumbnails=saved, caption="done" if record.has_caption() else not_done)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 3)


def _rate(count: int, of: int) -> str:
    return f"{100 * count / of if of else 0:.2f}%"
