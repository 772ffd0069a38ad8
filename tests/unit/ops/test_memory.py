"""Reconciling six times as many images needs no more memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from image_core.keys import thumbnail_key
from image_core.model import Record, Status, StoredObject, ThumbnailInfo, Thumbnails
from image_core.stores.counters import Reading
from image_core.stores.items import created_order
from image_core.stores.objects import Listed
from image_core.stores.search_items import Key
from ops.differences import Kind
from ops.reconcile import Plan, reconcile
from ops.report import Report

PAGE = 1_000
NOW_MS = 1_795_168_800_000


def image_id(number: int) -> str:
    return f"img_{number:026}"


def key_of(number: int) -> str:
    return f"uploads/{image_id(number)}/photo.jpg"


def record_of(number: int) -> Record:
    infos = {
        size: ThumbnailInfo(thumbnail_key(image_id(number), "a" * 16, size, b""), 150, 100, "image/jpeg", 100)
        for size in ("medium", "small")
    }
    return Record(
        image_id=image_id(number),
        key=key_of(number),
        rev=4,
        status=Status.SUCCESS,
        generation=1,
        created_ms=NOW_MS,
        original_name="photo.jpg",
        source="api",
        version="v1",
        finished_version="v1",
        finished_generation=1,
        metadata={"width": number, "exif": {"Make": f"Maker {number}"}},
        thumbnails=Thumbnails("a" * 16, "v1", 1, infos),
    )


class Stack:
    """A stack with up to a million images. None is stored: each is generated when it is requested.

    Every tenth original has no record, all thumbnails belong to an unknown attempt, and all search entries have a
    word that their image does not have.
    """

    uploads_bucket = "uploads"
    settings = SimpleNamespace(pending_timeout_seconds=900)

    def __init__(self, count: int) -> None:
        self.count = count
        self.messages = 0

    def services(self) -> Any:
        search = SimpleNamespace(every_key=self.every_key, get_many=lambda keys: dict.fromkeys(keys, "word"))
        return SimpleNamespace(
            records=self, storage=self, queue=self, search=search, settings=self.settings, clock=self
        )

    # Search index

    def every_key(self) -> Iterator[Key]:
        return (Key("word", created_order(NOW_MS, image_id(number))) for number in range(self.count))

    # Storage

    def list_originals(self, *, start_after: str) -> Iterator[list[Listed]]:
        yield from self._pages(lambda number: [Listed(key_of(number), 1000, 0)])

    def list_all_thumbnails(self) -> Iterator[list[Listed]]:
        yield from self._pages(
            lambda number: [
                Listed(thumbnail_key(image_id(number), "b" * 16, size, b""), 100, 0) for size in ("medium", "small")
            ]
        )

    def _pages(self, listed: Any) -> Iterator[list[Listed]]:
        for start in range(0, self.count, PAGE):
            numbers = range(start, min(self.count, start + PAGE))
            yield [one for number in numbers for one in listed(number)]

    def list_thumbnails(self, prefix: str) -> list[str]:
        return [f"{prefix}{'b' * 16}/small"]

    def head(self, key: str) -> StoredObject:
        return StoredObject(key=key, version="v1", version_id="v1", etag="e", size_bytes=1000)

    def has_thumbnail(self, _: str) -> bool:
        return True

    # Records

    def now_ms(self) -> int:
        return NOW_MS

    def every(self) -> Iterator[Record]:
        return (record_of(number) for number in range(self.count) if number % 10)

    def get_many(self, image_ids: Sequence[str]) -> list[Record]:
        return [record for i in image_ids if i in self._ids() and (record := self.get(i))]

    def _ids(self) -> Any:
        class Ids:
            def __contains__(self, image_id: object) -> bool:
                return str(image_id)[4:].isdigit()

        return Ids()

    def get(self, image_id: str) -> Record | None:
        number = image_id[4:]
        return record_of(int(number)) if number.isdigit() and int(number) % 10 else None

    def counters(self) -> Reading:
        return Reading({"success": sum(1 for n in range(self.count) if n % 10)}, 7, 0)

    # Queue

    def send(self, _: object) -> None:
        self.messages += 1


def reconciled(count: int) -> tuple[Report, Stack]:
    stack = Stack(count)
    plan = Plan(apply=False, settle_seconds=0)
    return reconcile(stack.services(), plan, sleep=lambda _: None), stack


def peak_bytes(count: int) -> int:
    tracemalloc.start()
    report, _ = reconciled(count)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.found == {Kind.NO_RECORD: count // 10, Kind.ORPHANS: count, Kind.SURPLUS_ENTRIES: count}
    assert report.examined == {
        "originals": count,
        "records": count - count // 10,
        "thumbnails": 2 * count,
        "search entries": count,
    }
    assert report.counters == "equal"
    return peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images() -> None:
    peak_bytes(1_000)  # allocates everything that is created only once
    few, many = peak_bytes(2_000), peak_bytes(12_000)
    assert many < 1.3 * few, (few, many)
