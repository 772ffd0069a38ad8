"""Walk through a bucket and copy its pictures into the uploads bucket, where their events make them images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from image_core.retry import is_transient
from ops.imports.buckets import Buckets, Unexpected, unreadable
from ops.imports.costs import Cost, estimate
from ops.imports.objects import TO_IMPORT, Finding, SourceObject, skip_reason
from ops.rate import RateLimit
from ops.reconcile import TooManyErrors

MAX_ERRORS_IN_A_ROW = 100
"""So many failed copies without a successful one have a common cause, such as a missing permission."""
_CHUNK = 200
_ENDS_THE_RUN = ("NoSuchBucket", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch")


@dataclass(frozen=True)
class Plan:
    """What to import, and how fast."""

    prefix: str
    max_image_bytes: int
    apply: bool
    include_deleted: bool = False
    """Import objects again whose images were deleted."""
    start_after: str = ""
    workers: int = 16


@dataclass
class Imported:
    """The numbers of a run. `found`: objects by what was decided; `copied`: those that were copied."""

    listed: int = 0
    found: Counter[Finding] = field(default_factory=Counter)
    bytes_by_class: Counter[str] = field(default_factory=Counter)
    """Bytes of the objects to import, by storage class."""
    copied: int = 0
    copied_bytes: int = 0
    errors: int = 0
    is_complete: bool = False

    @property
    def to_import(self) -> int:
        """Number of objects to import, including those that were copied."""
        return sum(self.found[finding] for finding in TO_IMPORT)

    def costs(self, *, crosses_regions: bool) -> list[Cost]:
        """The lines of the estimate."""
        not_examined = sum(self.found[one] for one in (Finding.EMPTY, Finding.TOO_LARGE, Finding.ARCHIVED))
        return list(
            estimate(
                listed=self.listed,
                examined=self.listed - not_examined,
                to_import=self.to_import,
                bytes_by_class=self.bytes_by_class,
                crosses_regions=crosses_regions,
            )
        )


@dataclass(frozen=True)
class _Result:
    """What was found out about an object: a finding, or why it cannot be imported. `name` is its format."""

    found: SourceObject
    finding: Finding | None = None
    name: str = ""
    error: Exception | None = None


def import_bucket(
    buckets: Buckets,
    plan: Plan,
    *,
    rate: RateLimit,
    done: Imported,
    failed: Callable[[str, Exception], None],
    progress: Callable[[str, int], None] = lambda _, __: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> None:
    """Examine all objects, and copy them if `plan.apply` is set. `done` is filled during the run.

    `failed` is called with the key and the error of an object that cannot be imported; the run continues.
    `checkpoint` is called with the key up to which all objects are done. Memory holds one page of the listing.
    Raises `TooManyErrors`, or an error that has nothing to do with a single object.
    """
    pool = ThreadPoolExecutor(plan.workers)
    try:
        run = _Run(buckets, plan, rate, done, failed, pool)
        for page in buckets.pages(plan.prefix, plan.start_after):
            for chunk in _chunks(page):
                run.handle(chunk)
                progress("objects", len(chunk))
                checkpoint(chunk[-1].key)
        done.is_complete = True
    finally:
        # After Ctrl-C, copies that have begun are completed, and no further ones begin.
        pool.shutdown(cancel_futures=True)


class _Run:
    def __init__(
        self,
        buckets: Buckets,
        plan: Plan,
        rate: RateLimit,
        done: Imported,
        failed: Callable[[str, Exception], None],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._buckets, self._plan, self._rate, self._pool = buckets, plan, rate, pool
        self._done, self._failed = done, failed
        self._errors_in_a_row = 0

    def handle(self, chunk: list[SourceObject]) -> None:
        to_examine = []
        for found in chunk:
            self._done.listed += 1
            if reason := skip_reason(found, max_image_bytes=self._plan.max_image_bytes):
                self._done.found[reason] += 1
            else:
                to_examine.append(found)
        self._copy_all(list(self._each(self._examine, to_examine)))

    def _examine(self, found: SourceObject) -> _Result:
        """Decide whether the object is imported. Most objects that are not pictures never get copied."""
        finding = self._buckets.find_copy(found)
        if finding is Finding.DELETED and self._plan.include_deleted:
            finding = Finding.NEW
        if finding not in TO_IMPORT:
            return _Result(found, finding)
        try:
            name = self._buckets.format_of(found)
        except ClientError as error:
            reason = unreadable(error)
            if reason is None:
                raise
            return _Result(found, reason)
        return _Result(found, finding, name) if name else _Result(found, Finding.UNSUPPORTED)

    def _copy_all(self, results: list[_Result]) -> None:
        copies: list[Future[_Result]] = []
        for result in results:
            if result.finding is None:
                continue
            self._done.found[result.finding] += 1
            if result.finding in TO_IMPORT:
                self._done.bytes_by_class[result.found.storage_class] += result.found.size_bytes
                if self._plan.apply:
                    self._rate.wait()
                    copies.append(self._pool.submit(self._safely, self._copy, result.found, result.name))
        for copy in copies:
            copied = copy.result()
            if self._noted(copied):
                self._done.copied += 1
                self._done.copied_bytes += copied.found.size_bytes

    def _copy(self, found: SourceObject, name: str) -> _Result:
        self._buckets.copy(found, name)
        return _Result(found, Finding.IMPORTED)

    def _each(self, examine: Callable[[SourceObject], _Result], items: Iterable[SourceObject]) -> Iterator[_Result]:
        for result in self._pool.map(lambda item: self._safely(examine, item), items):
            self._noted(result)
            yield result

    def _safely(self, act: Callable[..., _Result], found: SourceObject, *arguments: str) -> _Result:
        try:
            return act(found, *arguments)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ENDS_THE_RUN:
                raise
            return _Result(found, error=error)
        except Unexpected as error:
            return _Result(found, error=error)
        except BotoCoreError as error:
            if not is_transient(error):
                raise  # no credentials, for example
            return _Result(found, error=error)

    def _noted(self, result: _Result) -> bool:
        """Report the error of a result. Returns whether there was none. Raises `TooManyErrors`."""
        if result.error is None:
            self._errors_in_a_row = 0
            return True
        self._done.errors += 1
        self._errors_in_a_row += 1
        self._failed(result.found.key, result.error)
        if self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW:
            raise TooManyErrors(f"{self._errors_in_a_row} objects in a row could not be imported") from result.error
        return False


def _chunks(page: list[SourceObject]) -> Iterator[list[SourceObject]]:
    waiting = iter(page)
    while chunk := list(islice(waiting, _CHUNK)):
        yield chunk
