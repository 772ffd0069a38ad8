"""How long a reprocess takes and what it costs. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_core.model import Stage, Stats, Status
from ops import prices
from ops.reprocess import Measured, Reprocessed, Times
from ops.target import Processor

_WRITE_UNITS = 32
"""Of DynamoDB, for a reprocess of only the caption (docs/operations.md, "What a reprocess costs")."""
_SEARCH_UNITS = 14
"""Half of a caption's words are others."""
_EVERY_IMAGE = (
    (_WRITE_UNITS + _SEARCH_UNITS) * prices.DYNAMODB_WRITE
    + 3.5 * prices.DYNAMODB_READ
    + 3 * prices.SQS_REQUEST
    + 2 * prices.LAMBDA_REQUEST
    + 0.0125 * prices.LAMBDA_GB_SECOND["x86_64"]  # the stream function
    + prices.EVENT
    + 6_500 / prices.GB * prices.LOG_GB
    + 2 * prices.S3_READ
)
_RENDITIONS = 4 * prices.S3_WRITE_OR_LIST + 4 * prices.DYNAMODB_WRITE

_NOT_MADE = {Stage.CAPTION: "thumbnails", Stage.THUMBNAILS: "captions"}


@dataclass(frozen=True)
class Basis:
    """A mean processing time in seconds, and what it was measured on."""

    seconds: float
    measured_on: str


def basis(measured: Measured, stats: Stats) -> Basis | None:
    """The best measured mean. None if no image was processed successfully yet.

    Earlier models may have been faster or slower, so images of the current model count, if there are any.
    """
    everything = Times(stats.counts.get(Status.SUCCESS, 0), stats.processing_ms_total)
    for times, measured_on in (
        (measured.of_current_model, "with a caption of the current model"),
        (measured.selected, "to reprocess, when they were last processed"),
        (everything, "of the stack"),
    ):
        if times.images:
            return Basis(times.total_ms / times.images / 1000, f"{_counted(times.images)} {measured_on}")
    return None


def lines(
    done: Reprocessed,
    stats: Stats,
    *,
    stage: Stage,
    force: bool,
    current_model: str | None,
    processor: Processor | None,
    rate: float | None,
) -> Iterator[str]:
    """Describe the matching images, how long it takes to reprocess them, and what it costs."""
    if stage is not Stage.THUMBNAILS and any(done.by_model):
        yield "Their captions are by:"
        for model, count in done.by_model.most_common():
            yield f"  {count:>11,}  {model or 'no model: they have no caption'}"
        if (unchanged := done.by_model[current_model]) and current_model is not None and not force:
            yield (
                f"{unchanged:,} of them are by the current model already. Without --force they are copied, unless"
                " prompt, settings or release have changed since."
            )
    yield from _estimate(done.matching, basis(done.measured, stats), processor=processor, stage=stage, rate=rate)


def _estimate(
    images: int, found: Basis | None, *, processor: Processor | None, stage: Stage, rate: float | None
) -> Iterator[str]:
    if found is None or processor is None:
        missing = "no image was processed yet" if found is None else "the size of the processor is not known"
        yield f"Time and cost cannot be estimated: {missing}."
        return
    mean = f"{found.seconds:.2f} s"
    seconds = images * found.seconds / processor.concurrency
    if rate is not None and images / rate > seconds:
        yield f"Time: about {duration(images / rate)}, because --rate is {rate:g} per second."
    else:
        yield f"Time: about {duration(seconds)} ({_counted(images)} × {mean}, {processor.concurrency} at a time)."
    excess = f" It may include {_NOT_MADE[stage]}, which this run does not make." if stage in _NOT_MADE else ""
    yield f"{mean} is the mean processing time of {found.measured_on}.{excess}"
    if processor.memory_gb is None:
        yield "Cost: none, because the stack is local."
        return
    computing = (
        images * found.seconds * processor.memory_gb * prices.LAMBDA_GB_SECOND[processor.architecture or "x86_64"]
    )
    rest = images * (_EVERY_IMAGE + (0 if stage is Stage.CAPTION else _RENDITIONS))
    yield (
        f"Cost: {prices.dollars(computing + rest)} at the list prices of docs/operations.md:"
        f" {prices.dollars(computing)} for the processor ({processor.memory_gb:.2f} GB),"
        f" {prices.dollars(rest)} for everything else."
    )


def _counted(images: int) -> str:
    return f"{images:,} image{'' if images == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time for people: two units."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if minutes < 90:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
