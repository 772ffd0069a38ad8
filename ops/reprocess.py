"""Reprocess many images, such as failed ones after their cause is fixed, or captions of an earlier model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from image_core.errors import Superseded
from image_core.model import Record, Stage, Status
from image_core.services import Services
from image_core.stores.queries import Listing
from image_core.stores.queue import ObjectEvent
from image_core.stores.search import Found
from ops.rate import RateLimit

_PAGE = 100


@dataclass(frozen=True)
class Selection:
    """Which images to reprocess. Every condition that is not None must be true.

    `code`: they failed with this code. `model_not`: another model, or none, wrote the caption. `flag`: the caption
    has it. `query`: they match this search, as `q` of `GET /api/images`.
    """

    status: Status
    code: str | None = None
    model_not: str | None = None
    flag: str | None = None
    query: str | None = None

    def contains(self, record: Record) -> bool:
        """Whether a record with the status and the words is selected."""
        return (
            self.code in (None, (record.error or {}).get("code"))
            and (self.model_not is None or record.caption_model != self.model_not)
            and (self.flag is None or self.flag in (record.caption_flags or ()))
        )


@dataclass
class Times:
    """Number of images, and the sum of their measured processing times in ms."""

    images: int = 0
    total_ms: int = 0

    def add(self, record: Record) -> None:
        """Count a record that was processed successfully; others have no time."""
        if record.processing_ms is not None:
            self.images += 1
            self.total_ms += record.processing_ms


@dataclass
class Measured:
    """Processing times of the images to reprocess, and of all examined ones that the current model captioned."""

    selected: Times = field(default_factory=Times)
    of_current_model: Times = field(default_factory=Times)


@dataclass
class Reprocessed:
    """How many images were checked, matched, and were reprocessed. What was measured on them, for the estimate."""

    examined: int = 0
    matching: int = 0
    requeued: int = 0
    by_model: Counter[str | None] = field(default_factory=Counter, compare=False)
    """The matching images by the model that wrote their caption."""
    measured: Measured = field(default_factory=Measured, compare=False)


def reprocess_record(record: Record, services: Services, stage: Stage = Stage.ALL, *, force: bool = False) -> None:
    """Reprocess an image as the API does: the transition, then the message. Raises `Superseded`.

    If the process ends between the two, the sweep sends the message.
    """
    seconds = services.settings.pending_timeout_seconds
    services.records.reprocess(record, pending_seconds=seconds, stage=stage, force=force)
    services.queue.send(ObjectEvent(services.storage.uploads_bucket, record.key))


def reprocess(
    services: Services,
    selection: Selection,
    *,
    stage: Stage,
    force: bool,
    apply: bool,
    limit: int | None,
    rate: RateLimit,
    done: Reprocessed,
    current_model: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
    progress: Callable[[str, int], None] = lambda _, __: None,
) -> Reprocessed:
    """Reprocess the selected images, newest first. `done` is filled. Raises `BadQuery`.

    `stage` says what is recreated; with `force`, captions are computed even if they could be copied. `warn` is
    called with a doubt about the name of a model, and with what is incomplete about the result of a search.

    A reprocessed image is not in the list until it is processed. After that it is selected again, unless its new
    error, model or flags exclude it.
    """
    if current_model is not None and selection.model_not not in (None, current_model):
        # A misspelled name selects every image, and a second run selects them all again.
        warn(
            f"{selection.model_not} is not the current model, which is {current_model}. The captions of all models"
            " with another name are selected. Check the name."
        )
    for record in _records(services, selection, warn):
        done.examined += 1
        progress("images", 1)
        if current_model is not None and record.caption_model == current_model:
            done.measured.of_current_model.add(record)
        if not selection.contains(record):
            continue
        if limit is not None and done.matching >= limit:
            break
        done.matching += 1
        done.by_model[record.caption_model] += 1
        done.measured.selected.add(record)
        if apply:
            rate.wait()
            try:
                reprocess_record(record, services, stage, force=force)
                done.requeued += 1
            except Superseded:
                continue  # another process is handling it
    return done


def _records(services: Services, selection: Selection, warn: Callable[[str], None]) -> Iterator[Record]:
    listing, cursor = Listing(status=selection.status, q=selection.query), None
    warned: set[str] = set()
    while True:
        if selection.query is None:
            found = Found(services.records.read(listing, limit=_PAGE, cursor=cursor))
        else:
            found = services.search.find(listing, limit=_PAGE, cursor=cursor)
        for warning in found.warnings:
            if warning not in warned:
                warned.add(warning)
                warn(warning)
        yield from found.page.records
        cursor = found.page.next_cursor
        if cursor is None:
            return
