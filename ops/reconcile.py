"""Compare bucket, table, thumbnails, search index and counters, and repair differences, see docs/reconcile.md.

There are five passes, each a stream: originals (do they have a record?), records (do they have their object,
thumbnails and search entries?) with the recount, thumbnails (does a record name them?), search entries (does the
image have these words?), counters. Memory holds only a page of a
listing or scan and a bounded number of suspects, whatever the size of the stack.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from image_core.errors import Superseded
from image_core.keys import thumbnail_owner, thumbnail_prefix
from image_core.lifecycle.decide import Decision
from image_core.lifecycle.delete import delete
from image_core.lifecycle.engine import handle_deadline
from image_core.lifecycle.state import load_state
from image_core.model import PUBLIC_STATUSES, Record
from image_core.retry import needs_configuration
from image_core.services import Services
from image_core.stores.counters import Reading, contribution
from image_core.stores.queue import ObjectEvent
from image_core.stores.search_items import Key
from ops import search_index
from ops.differences import (
    Difference,
    Kind,
    counter_difference,
    judge,
    needs_objects,
    orphans,
    possible_ids,
    without_record,
)
from ops.rate import RateLimit
from ops.report import Report
from ops.reprocess import reprocess_record

log = logging.getLogger(__name__)

MAX_SUSPECTS = 1_000
"""Number of suspects that are collected before they are checked again."""
_CHUNK = 200
_RECOUNTS = 3
_MAX_ERRORS = 100

_T = TypeVar("_T")


class TooManyErrors(Exception):
    """So many checks failed that it makes no sense to continue."""


@dataclass(frozen=True)
class Plan:
    """What to do, and how fast. Default times are derived from the stack's settings."""

    apply: bool = False
    """Repair differences. Otherwise nothing is written."""
    rate: float | None = None
    """Maximum number of messages per second."""
    workers: int = 1
    """Maximum number of parallel calls. With 1, all run in the caller's thread."""
    start_after: str = ""
    """Skip the originals up to and including this key."""
    min_age_seconds: float | None = None
    """The event of an object younger than this may still be in transit (PENDING_TIMEOUT_SECONDS)."""
    stuck_after_seconds: float | None = None
    """An image is stuck this long after its deadline (twice PENDING_TIMEOUT_SECONDS, plus ten minutes)."""
    settle_seconds: float = 2.0
    """A difference in records and thumbnails is checked again after this, as a change may have been in progress."""


Progress = Callable[[str, int], None]
"""Called with the name of the pass and the number of newly examined items."""


def reconcile(
    services: Services,
    plan: Plan,
    *,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = lambda _, __: None,
    checkpoint: Callable[[str], None] = lambda _: None,
    report: Report | None = None,
) -> Report:
    """Run all passes.

    `checkpoint` is called with the key up to which all originals are done. `report` is filled during the run, so
    that it is available if this raises: `TooManyErrors`, or immediately an error that only an operator can fix.
    """
    pool = ThreadPoolExecutor(plan.workers) if plan.workers > 1 else None
    with pool or nullcontext():
        run = _Run(services, plan, report or new_report(services, plan), sleep, progress, pool)
        run.run(checkpoint)
        return run.report


def new_report(services: Services, plan: Plan) -> Report:
    """Create an empty report with the current time."""
    return Report(apply=plan.apply, started_ms=services.clock.now_ms())


class _Run:
    def __init__(
        self,
        services: Services,
        plan: Plan,
        report: Report,
        sleep: Callable[[float], None],
        progress: Progress,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self._services = services
        self._plan = plan
        self.report = report
        self._sleep = sleep
        self._progress = progress
        self._pool = pool
        self._rate = RateLimit(plan.rate, now_ms=services.clock.now_ms, sleep=sleep)
        pending_seconds = services.settings.pending_timeout_seconds
        self._min_age_ms = _ms(plan.min_age_seconds, pending_seconds)
        self._stuck_after_ms = _ms(plan.stuck_after_seconds, 2 * pending_seconds + 600)

    def run(self, checkpoint: Callable[[str], None]) -> None:
        self._originals(checkpoint)
        before = self._services.records.counters()
        recounted = self._records()
        self._thumbnails()
        self._entries()
        self._counters(before, recounted)
        self.report.ended_ms = self._services.clock.now_ms()

    # Originals: does each have a record?

    def _originals(self, checkpoint: Callable[[str], None]) -> None:
        for page in self._services.storage.list_originals(start_after=self._plan.start_after):
            if not page:
                continue
            bucket = self._services.storage.uploads_bucket
            ids = dict.fromkeys(i for listed in page for i in possible_ids(bucket, listed.key))
            records = {record.image_id: record for record in self._services.records.get_many(list(ids))}
            candidates = without_record(
                page, records, bucket=bucket, now_ms=self._services.clock.now_ms(), min_age_ms=self._min_age_ms
            )
            for found in self._each(self._confirm_no_record, [listed.key for listed in candidates]):
                self._repair_all([found])
                checkpoint(found.keys[0])
            self._examined("originals", len(page))
            checkpoint(page[-1].key)

    def _confirm_no_record(self, key: str) -> Difference | None:
        state = load_state(key, self._services)
        if state.record is not None or state.stored is None:
            return None
        return Difference(Kind.NO_RECORD, state.image_id, (key,))

    # Records: does each have its object and its thumbnails?

    def _records(self) -> Counter[str]:
        """Examine all records, and return the recount."""
        recounted: Counter[str] = Counter()
        suspects: list[str] = []
        not_indexed: list[str] = []
        for chunk in _chunks(self._services.records.every(), _CHUNK):
            for record in chunk:
                recounted.update(contribution(record))
            suspects += [found.image_id for found in self._each(self._judge, chunk)]
            not_indexed += [found.image_id for found in self._each(self._judge_entries, chunk)]
            self._examined("records", len(chunk))
            if len(suspects) + len(not_indexed) >= MAX_SUSPECTS:
                self._settle_records(suspects, not_indexed)
                suspects, not_indexed = [], []
        self._settle_records(suspects, not_indexed)
        return recounted

    def _judge(self, record: Record) -> Difference | None:
        storage = self._services.storage
        stored, missing = None, []
        if needs_objects(record):
            # The record was read first. If it has changed since, its `rev` makes the write fail.
            stored = storage.head(record.key)
            named = record.thumbnails.sizes.values() if record.thumbnails and stored else ()
            missing = [info.key for info in named if not storage.has_thumbnail(info.key)]
        return judge(
            record,
            stored,
            missing=missing,
            now_ms=self._services.clock.now_ms(),
            min_age_ms=self._min_age_ms,
            stuck_after_ms=self._stuck_after_ms,
        )

    def _judge_entries(self, record: Record) -> Difference | None:
        lacking = search_index.lacking(record, self._services)
        if not lacking:
            return None
        return Difference(Kind.NO_ENTRIES, record.image_id, tuple(key.stem for key in lacking))

    def _settle_records(self, suspects: list[str], not_indexed: list[str]) -> None:
        if suspects or not_indexed:
            self._sleep(self._plan.settle_seconds)
            self._repair_all(self._each(self._judge_again, suspects))
            self._repair_all(self._each(self._judge_entries_again, not_indexed))

    def _judge_again(self, image_id: str) -> Difference | None:
        record = self._services.records.get(image_id)
        return self._judge(record) if record is not None else None

    def _judge_entries_again(self, image_id: str) -> Difference | None:
        record = self._services.records.get(image_id)
        return self._judge_entries(record) if record is not None else None

    # Thumbnails: does a record name each?

    def _thumbnails(self) -> None:
        suspects: list[str] = []
        for page in self._services.storage.list_all_thumbnails():
            keys = [listed.key for listed in page]
            ids = dict.fromkeys(owner[0] for owner in map(thumbnail_owner, keys) if owner)
            records = {record.image_id: record for record in self._services.records.get_many(list(ids))}
            suspects += orphans(keys, records)
            self._examined("thumbnails", len(page))
            if len(suspects) >= MAX_SUSPECTS:
                self._settle_thumbnails(suspects)
                suspects = []
        self._settle_thumbnails(suspects)

    def _settle_thumbnails(self, suspects: list[str]) -> None:
        if suspects:
            self._sleep(self._plan.settle_seconds)
            # An image on two pages is suspected twice.
            self._repair_all(self._each(self._confirm_orphans, list(dict.fromkeys(suspects))))

    def _confirm_orphans(self, image_id: str) -> Difference | None:
        keys = self._services.storage.list_thumbnails(thumbnail_prefix(image_id))
        record = self._services.records.get(image_id)
        left = orphans(keys, {image_id: record} if record else {}).get(image_id)
        return Difference(Kind.ORPHANS, image_id, tuple(left)) if left else None

    # Search entries: does the image have these words?

    def _entries(self) -> None:
        suspects: list[Key] = []
        for chunk in _chunks(self._services.search.every_key(), _CHUNK):
            suspects += search_index.surplus(chunk, self._services)
            self._examined("search entries", len(chunk))
            if len(suspects) >= MAX_SUSPECTS:
                self._settle_entries(suspects)
                suspects = []
        self._settle_entries(suspects)

    def _settle_entries(self, suspects: list[Key]) -> None:
        if suspects:
            self._sleep(self._plan.settle_seconds)
            left = self._services.search.get_many(set(suspects))
            for image_id, keys in search_index.by_image(search_index.surplus(left, self._services)).items():
                self._note(
                    Difference(Kind.SURPLUS_ENTRIES, image_id, tuple(key.stem for key in keys)),
                    partial(search_index.write, image_id, self._services, remove=keys),
                )

    # Counters: do they equal a recount?

    def _counters(self, before: Reading, recounted: Counter[str]) -> None:
        records, report = self._services.records, self.report
        after, seen_before = before, None
        for attempt in range(1 + _RECOUNTS):
            if attempt:
                # Faster than the first time, because objects are not checked.
                before, recounted = after, self._recount()
            after = records.counters()
            change = counter_difference(recounted, after.counts)
            moved = after.moved_since(before)
            if not moved and change in ({}, seen_before):
                break
            # A running transaction can be half visible, with only the record or only the counter changed. So a
            # difference counts only if it is the same a while later, and no transition happened in between.
            seen_before = None if moved else change
            if seen_before:
                self._sleep(self._plan.settle_seconds)
        else:
            moved = max(moved, 1)  # the difference changed each time
        detail = ", ".join(f"{name} {amount:+d}" for name, amount in change.items())
        found = Difference(Kind.COUNTERS, "", (), detail)
        if moved:
            report.counters = (
                f"cannot be compared: {moved} transitions happened during the last of {_RECOUNTS} recounts"
            )
            # One transition changes the count of a status by at most 1. A larger difference is certainly an error.
            if any(abs(change.get(status, 0)) > moved for status in PUBLIC_STATUSES):
                report.note(found)
        elif change:
            report.counters, report.counter_difference = "different", change
            self._note(found, lambda: records.correct(change, after))
        else:
            report.counters = "equal"

    def _recount(self) -> Counter[str]:
        recounted: Counter[str] = Counter()
        for record in self._services.records.every():
            recounted.update(contribution(record))
            self._progress("recount", 1)
        return recounted

    # Repair

    def _repair_all(self, found: Iterable[Difference]) -> None:
        for difference in found:
            self._note(difference, lambda d=difference: self._repair(d))  # type: ignore[misc]

    def _note(self, difference: Difference, repair: Callable[[], None]) -> None:
        self.report.note(difference)
        if not self._plan.apply:
            return
        try:
            repair()
            self.report.repaired[difference.kind] += 1
        except Superseded:
            self.report.moved_on[difference.kind] += 1
        except Exception as error:
            self._report_error(difference.image_id or difference.kind, error)

    def _repair(self, difference: Difference) -> None:
        """Repair a difference. Each repair is a transition, a message, or a write that follows from the record, and
        is safe whatever has happened since."""
        services, (key, *_) = self._services, difference.keys
        if difference.kind in (Kind.NO_RECORD, Kind.OUTDATED):
            self._rate.wait()
            services.queue.send(ObjectEvent(services.storage.uploads_bucket, key))
        elif difference.kind is Kind.ORPHANS:
            services.storage.delete_thumbnails(difference.keys)
        elif difference.kind is Kind.NO_ENTRIES:
            self._rate.wait()
            search_index.write(difference.image_id, services)
        elif difference.kind is Kind.STUCK:
            if handle_deadline(difference.image_id, services) is Decision.NOTHING:
                raise Superseded
        else:
            record = services.records.get(difference.image_id)
            # Check once more, directly before an irreversible step.
            again = self._judge(record) if record is not None else None
            if record is None or again is None or again.kind is not difference.kind:
                raise Superseded
            if difference.kind is Kind.NO_ORIGINAL:
                delete(record, services)
            else:
                self._rate.wait()
                reprocess_record(record, services)

    # Plumbing

    def _each(self, check: Callable[[_T], Difference | None], items: Iterable[_T]) -> list[Difference]:
        """Call `check` for each item, several at a time, and return the findings. Errors are counted in the
        report."""

        def safely(item: _T) -> Difference | Exception | None:
            try:
                return check(item)
            except Exception as error:
                return error

        found: list[Difference] = []
        items = list(items)
        results = self._pool.map(safely, items) if self._pool else map(safely, items)
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Exception):
                self._report_error(getattr(item, "image_id", str(item)), result)
            elif result is not None:
                found.append(result)
        return found

    def _report_error(self, about: str, error: Exception) -> None:
        self.report.add_error(about, error)
        if needs_configuration(error):
            raise error
        log.warning("%s: %s", about, error)
        if self.report.errors >= _MAX_ERRORS:
            raise TooManyErrors(f"{self.report.errors} images could not be checked") from error

    def _examined(self, name: str, count: int) -> None:
        self.report.examined[name] += count
        self._progress(name, count)


def _chunks(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _ms(seconds: float | None, otherwise: float) -> int:
    return int((otherwise if seconds is None else seconds) * 1000)
