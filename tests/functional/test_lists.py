"""Pages of the list, and the images that the sweep finds: both read indexes that may lag behind the table."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from image_core.errors import BadCursor, Unavailable
from image_core.model import PUBLIC_STATUSES, Record, Status
from image_core.stores.items import created_order
from image_core.stores.queries import Listing, encode_cursor
from tests.functional.emulator import Act, Call, Stack, done, followed_by
from tests.functional.images import LEASE_SECONDS, image_in, new_record, outcome, stored_object


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack(tables_only=True)


def images(stack: Stack, count: int, status: Status = Status.PENDING) -> list[Record]:
    """Create `count` images and return them, newest first."""
    created: list[Record] = []
    for _ in range(count):
        created.insert(0, image_in(stack.records, status))
        stack.clock.advance(1)
    return created


def pages(
    stack: Stack, *, limit: int, status: Status | None = None, between: Callable[[], object] = lambda: None
) -> list[list[str]]:
    """Return the ids on every page, by following the cursors."""
    found, cursor = [], None
    while True:
        page = stack.records.read(Listing(status=status), limit=limit, cursor=cursor)
        found.append([record.image_id for record in page.records])
        cursor = page.next_cursor
        if cursor is None:
            return found
        between()


def ids(records: list[Record]) -> list[str]:
    return [record.image_id for record in records]


def test_the_newest_image_comes_first(stack: Stack) -> None:
    created = images(stack, 3)
    assert stack.records.read(Listing(), limit=10).records == created


@pytest.mark.parametrize("status", [None, Status.PENDING])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_oldest_image_comes_first_if_asked_for(stack: Stack, status: Status | None, limit: int) -> None:
    created = ids(images(stack, 7))
    listing = Listing(status=status, oldest_first=True)
    found, cursor = [], None
    while True:
        page = stack.records.read(listing, limit=limit, cursor=cursor)
        found += ids(page.records)
        cursor = page.next_cursor
        if cursor is None:
            break
        with pytest.raises(BadCursor):
            stack.records.read(replace(listing, oldest_first=False), limit=limit, cursor=cursor)
    assert found == created[::-1]


def test_pages_continue_without_gaps_or_repetitions(stack: Stack) -> None:
    created = ids(images(stack, 7))
    assert pages(stack, limit=3) == [created[:3], created[3:6], created[6:]]


def test_a_full_last_page_has_no_cursor(stack: Stack) -> None:
    created = ids(images(stack, 4))
    assert pages(stack, limit=2) == [created[:2], created[2:]]


def test_an_empty_list_is_one_empty_page(stack: Stack) -> None:
    assert pages(stack, limit=5) == [[]]


def test_images_of_the_same_millisecond_are_each_listed_once(stack: Stack) -> None:
    created = {image_in(stack.records, Status.PENDING).image_id for _ in range(5)}
    found = pages(stack, limit=2)
    assert sorted(image_id for page in found for image_id in page) == sorted(created)
    assert [len(page) for page in found] == [2, 2, 1]


@pytest.mark.parametrize("status", [None, Status.SUCCESS])
def test_each_image_is_listed_once_while_others_are_added(stack: Stack, status: Status | None) -> None:
    created = ids(images(stack, 6, Status.SUCCESS))
    found = pages(stack, limit=2, status=status, between=lambda: images(stack, 2, Status.SUCCESS))
    assert [image_id for page in found for image_id in page] == created


def test_a_page_continues_behind_an_image_that_was_deleted_meanwhile(stack: Stack) -> None:
    newest, second, third = images(stack, 3)

    def delete_second() -> None:
        stack.records.purge(stack.records.mark_deleting(second, deadline_seconds=30))

    page = stack.records.read(Listing(), limit=2)
    delete_second()
    assert ids(page.records) == ids([newest, second])
    assert stack.records.read(Listing(), limit=2, cursor=page.next_cursor).records == [third]


@pytest.mark.parametrize("status", PUBLIC_STATUSES)
def test_a_list_by_status_contains_the_images_with_that_status(stack: Stack, status: Status) -> None:
    created = {wanted: ids(images(stack, 2, wanted)) for wanted in PUBLIC_STATUSES}
    assert pages(stack, limit=1, status=status) == [[image_id] for image_id in created[status]]


@pytest.mark.parametrize("hidden", [Status.RESERVED, Status.DELETING])
def test_hidden_images_are_in_no_list(stack: Stack, hidden: Status) -> None:
    listed = images(stack, 1)
    images(stack, 2, hidden)
    assert stack.records.read(Listing(), limit=10).records == listed


def test_an_image_whose_status_has_just_changed_is_not_in_the_wrong_list(stack: Stack) -> None:
    newest, older = images(stack, 2, Status.PROCESSING)
    other = stack.other_records()
    stack.dynamodb.plan("query", followed_by(lambda: other.finish(newest, outcome())))
    assert stack.records.read(Listing(status=Status.PROCESSING), limit=10).records == [older]


@pytest.mark.parametrize("gone", [1, 2])
def test_a_page_is_filled_up_if_the_index_names_deleted_images(stack: Stack, gone: int) -> None:
    created = images(stack, 6)
    other_records = stack.other_records()

    def delete_the_newest() -> None:
        for record in created[:gone]:
            other_records.purge(other_records.mark_deleting(record, deadline_seconds=30))

    stack.dynamodb.plan("query", followed_by(delete_the_newest))
    page = stack.records.read(Listing(), limit=2)
    left = created[gone:]
    assert page.records == left[:2]
    assert stack.records.read(Listing(), limit=2, cursor=page.next_cursor).records == left[2:4]


def test_a_list_returns_the_record_and_not_the_indexs_copy(stack: Stack) -> None:
    (record,) = images(stack, 1, Status.PROCESSING)
    other = stack.other_records()
    stack.dynamodb.plan("query", followed_by(lambda: other.finish(record, outcome())))
    (listed,) = stack.records.read(Listing(), limit=10).records
    assert listed.status is Status.SUCCESS


def test_keys_that_dynamodb_leaves_unprocessed_are_requested_again(stack: Stack) -> None:
    created = images(stack, 3)

    def half_read(call: Call, arguments: dict[str, Any]) -> Any:
        (table,) = arguments["RequestItems"]
        keys = arguments["RequestItems"][table]["Keys"]
        reply = call(RequestItems={table: {"Keys": keys[:1], "ConsistentRead": True}})
        return reply | {"UnprocessedKeys": {table: {"Keys": keys[1:], "ConsistentRead": True}}}

    stack.dynamodb.plan("batch_get_item", half_read, half_read, done)
    assert stack.records.read(Listing(), limit=10).records == created


def test_a_batch_that_dynamodb_never_processes_is_unavailable(stack: Stack) -> None:
    images(stack, 1)

    def nothing_read(_: Call, arguments: dict[str, Any]) -> Any:
        return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}

    acts: list[Act] = [nothing_read] * 50
    stack.dynamodb.plan("batch_get_item", *acts)
    with pytest.raises(Unavailable):
        stack.records.read(Listing(), limit=10)


def test_a_page_reads_only_its_items(stack: Stack) -> None:
    images(stack, 12)
    stack.dynamodb.calls.clear()
    stack.records.read(Listing(), limit=2)
    assert [name for name, _ in stack.dynamodb.calls] == ["query", "batch_get_item"]
    assert stack.dynamodb.arguments("query")[0]["Limit"] == 3


def test_a_cursor_is_accepted_only_by_its_own_list(stack: Stack) -> None:
    images(stack, 3)
    cursor = stack.records.read(Listing(status=Status.PENDING), limit=1).next_cursor
    for status in (None, Status.FAILED):
        with pytest.raises(BadCursor):
            stack.records.read(Listing(status=status), limit=1, cursor=cursor)


# Between two times


def times(stack: Stack, created: list[Record], **bounds: Any) -> list[int]:
    """Return the positions in `created` (newest first) of the images within these bounds, from all pages."""
    found, cursor = [], None
    while True:
        page = stack.records.read(Listing(**bounds), limit=2, cursor=cursor)
        found += ids(page.records)
        cursor = page.next_cursor
        if cursor is None:
            return [ids(created).index(image_id) for image_id in found]


@pytest.mark.parametrize("status", [None, Status.PENDING])
def test_a_time_range_includes_its_start_and_excludes_its_end(stack: Stack, status: Status | None) -> None:
    records = images(stack, 6)
    images(stack, 1, Status.SUCCESS)
    created = [record.created_ms for record in records]
    assert times(stack, records, status=status or Status.PENDING, from_ms=created[4]) == [0, 1, 2, 3, 4]
    assert times(stack, records, status=status or Status.PENDING, until_ms=created[1]) == [2, 3, 4, 5]
    assert times(stack, records, status=status, from_ms=created[4], until_ms=created[1]) == [2, 3, 4]
    assert times(stack, records, status=status, from_ms=created[4] + 1, until_ms=created[1] + 1) == [1, 2, 3]


def test_adjoining_time_ranges_contain_each_image_once(stack: Stack) -> None:
    created = images(stack, 5)
    middle = created[2].created_ms
    assert times(stack, created, from_ms=middle) + times(stack, created, until_ms=middle) == [0, 1, 2, 3, 4]


def test_images_of_the_same_millisecond_are_on_the_same_side(stack: Stack) -> None:
    for _ in range(3):
        image_in(stack.records, Status.PENDING)
    now = stack.clock.now_ms
    assert len(stack.records.read(Listing(from_ms=now), limit=10).records) == 3
    assert len(stack.records.read(Listing(until_ms=now + 1), limit=10).records) == 3
    assert stack.records.read(Listing(from_ms=now + 1), limit=10).records == []
    assert stack.records.read(Listing(until_ms=now), limit=10).records == []


@pytest.mark.parametrize(
    "bounds",
    [{"from_ms": 5, "until_ms": 5}, {"from_ms": 9, "until_ms": 5}, {"until_ms": 0}, {"until_ms": -(10**14)}],
)
def test_an_impossible_time_range_is_empty_and_costs_nothing(stack: Stack, bounds: dict[str, Any]) -> None:
    images(stack, 1)
    stack.dynamodb.calls.clear()
    page = stack.records.read(Listing(**bounds), limit=10)
    assert (page.records, page.next_cursor) == ([], None)
    assert stack.dynamodb.calls == []


@pytest.mark.parametrize(
    "bounds", [{"from_ms": -(10**14)}, {"until_ms": 10**18}, {"from_ms": 0, "until_ms": 10**15}]
)
def test_a_time_range_around_all_images_contains_all(stack: Stack, bounds: dict[str, Any]) -> None:
    created = images(stack, 3)
    assert times(stack, created, **bounds) == [0, 1, 2]


def test_a_cursor_of_another_list_is_refused_before_any_query(stack: Stack) -> None:
    (newest, _) = images(stack, 2)
    bounds = Listing(None, newest.created_ms + 1, None)
    forged = encode_cursor(bounds, created_order(newest.created_ms, newest.image_id))
    with pytest.raises(BadCursor):
        stack.records.read(Listing(from_ms=bounds.from_ms), limit=1, cursor=forged)


# Concurrent changes


def test_paging_during_uploads_and_deletions_lists_each_remaining_image_exactly_once(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(tables_only=True)
    rng = random.Random(7)
    there = images(stack, 40)
    doomed = rng.sample(there, 12)
    stays = [record.image_id for record in there if record not in doomed]
    stop = threading.Event()
    errors: list[BaseException] = []

    def upload() -> None:
        mine = stack.other_records()
        while not stop.is_set():
            image_in(mine, rng.choice([Status.PENDING, Status.SUCCESS, Status.RESERVED]))

    def delete() -> None:
        mine = stack.other_records()
        for record in doomed:
            mine.purge(mine.mark_deleting(record, deadline_seconds=0))

    def change() -> None:
        mine = stack.other_records()
        for image_id in stays:
            record = mine.get(image_id)
            assert record is not None
            mine.claim(record, stored_object(record), lease_seconds=LEASE_SECONDS)

    def collect_errors(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)

        return run

    first = stack.records.read(Listing(), limit=3)
    at_work = [threading.Thread(target=collect_errors(work)) for work in (upload, upload, delete, change)]
    for thread in at_work:
        thread.start()
    found, cursor = ids(first.records), first.next_cursor
    while cursor is not None:
        page = stack.records.read(Listing(), limit=3, cursor=cursor)
        found += ids(page.records)
        cursor = page.next_cursor
        stack.clock.advance(0.001)
    stop.set()
    for thread in at_work:
        thread.join()
    assert not errors
    assert len(set(found)) == len(found)
    assert [image_id for image_id in found if image_id in stays] == stays
    assert set(found) <= set(ids(there))


# Overdue images


def test_images_past_their_deadline_are_overdue_oldest_first(stack: Stack) -> None:
    newest, older, oldest = images(stack, 3)
    late = older.deadline
    assert list(stack.records.overdue(Status.PENDING, late)) == ids([oldest, older])
    assert list(stack.records.overdue(Status.PENDING, newest.deadline)) == ids([oldest, older, newest])
    assert list(stack.records.overdue(Status.PENDING, oldest.deadline - 1)) == []


@pytest.mark.parametrize("status", [Status.RESERVED, Status.PENDING, Status.PROCESSING, Status.DELETING])
def test_each_unfinished_status_has_its_own_overdue_images(stack: Stack, status: Status) -> None:
    created = {one: image_in(stack.records, one) for one in Status}
    assert list(stack.records.overdue(status, stack.clock.now_ms + 3_600_000)) == [created[status].image_id]


def test_an_expired_lease_makes_an_image_overdue(stack: Stack) -> None:
    record = image_in(stack.records, Status.PROCESSING)
    assert list(stack.records.overdue(Status.PROCESSING, stack.clock.now_ms + LEASE_SECONDS * 1000 - 1)) == []
    assert list(stack.records.overdue(Status.PROCESSING, stack.clock.now_ms + LEASE_SECONDS * 1000)) == [
        record.image_id
    ]


def test_a_backlog_longer_than_one_response_is_found_completely(stack: Stack) -> None:
    created = ids(images(stack, 5))

    def two_at_a_time(call: Call, arguments: dict[str, Any]) -> Any:
        return call(**arguments, Limit=2)

    stack.dynamodb.plan("query", *[two_at_a_time] * 3)
    assert list(stack.records.overdue(Status.PENDING, stack.clock.now_ms + 60_000)) == created[::-1]


def test_a_scan_longer_than_one_response_is_read_completely(stack: Stack) -> None:
    created = ids([image_in(stack.records, status) for status in Status])

    def four_at_a_time(call: Call, arguments: dict[str, Any]) -> Any:
        return call(**arguments, Limit=4)

    stack.dynamodb.plan("scan", *[four_at_a_time] * 2)
    assert sorted(ids(stack.every())) == sorted(created)


def test_a_second_image_of_the_same_key_has_its_own_place_in_the_list(stack: Stack) -> None:
    first = stack.records.create(new_record(stack.records, key="photo.jpg"))
    stack.records.purge(stack.records.mark_deleting(first, deadline_seconds=0))
    stack.clock.advance(5)
    second = stack.records.claim(
        new_record(stack.records, key="photo.jpg", image_id=first.image_id),
        stored_object(first),
        lease_seconds=LEASE_SECONDS,
    )
    assert stack.records.read(Listing(), limit=10).records == [second]
