"""`ops reconcile` and `ops reindex` compare the search index with the records, and repair it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from image_core.model import Record, Status
from image_core.stores.queries import Listing
from image_core.stores.search_items import Key, dictionary_of
from ops import search_index
from ops.differences import Kind
from ops.rate import RateLimit
from ops.reconcile import Plan, reconcile
from ops.reindex import Reindexed, reindex
from ops.report import Report
from tests import pictures
from tests.functional.emulator import Stack, followed_by
from tests.functional.images import stored_image


@pytest.fixture
def image(stack: Stack) -> Record:
    """A processed image. Its title is Lake, and the index has all of its words."""
    record = stored_image(stack, Status.SUCCESS, pictures.jpeg())
    titled = stack.records.describe(record, title="Lake", alt_text=None, tags=None)
    stack.update_search_index()
    return titled


def entries(stack: Stack) -> dict[Key, str | None]:
    return stack.services.search.get_many(set(stack.services.search.every_key()))


def run(stack: Stack, *, apply: bool = False) -> Report:
    return reconcile(stack.services, Plan(apply=apply, min_age_seconds=0), sleep=stack.clock.sleep)


def lost_entry(stack: Stack, image: Record) -> Kind:
    (key,) = (key for key in entries(stack) if key.stem == "lake")
    stack.services.search.write({key: None})
    return Kind.NO_ENTRIES


def outdated_entries(stack: Stack, image: Record) -> Kind:
    stack.services.search.write(dict.fromkeys(entries(stack), "lake"))
    return Kind.NO_ENTRIES


def lost_word_of_the_dictionary(stack: Stack, image: Record) -> Kind:
    stack.services.search.write({next(iter(sorted(dictionary_of(image)))): None})
    return Kind.NO_ENTRIES


def entry_of_an_earlier_title(stack: Stack, image: Record) -> Kind:
    (order,) = {key.order for key in entries(stack)}
    stack.services.search.write({Key("hill", order): "hill lake"})
    return Kind.SURPLUS_ENTRIES


def entry_of_an_image_that_is_gone(stack: Stack, image: Record) -> Kind:
    (order,) = {key.order for key in entries(stack)}
    stack.services.search.write({Key("hill", order[:-4] + "0000"): "hill"})
    return Kind.SURPLUS_ENTRIES


DAMAGE = [
    lost_entry,
    outdated_entries,
    lost_word_of_the_dictionary,
    entry_of_an_earlier_title,
    entry_of_an_image_that_is_gone,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_reconcile_finds_and_repairs_a_wrong_index(
    stack: Stack, image: Record, damage: Callable[[Stack, Record], Kind]
) -> None:
    right = entries(stack)
    kind = damage(stack, image)
    wrong = entries(stack)
    report = run(stack)
    assert (dict(report.found), entries(stack)) == ({kind: 1}, wrong), "a dry run changes nothing"
    report = run(stack, apply=True)
    assert (report.repaired[kind], report.left) == (1, 0)
    assert entries(stack) == right
    assert run(stack).is_clean


def test_images_of_an_earlier_version_are_found_after_reindexing(stack: Stack, image: Record) -> None:
    right = entries(stack)
    for key in right:
        stack.services.search.write({key: None})
    rate = RateLimit(100, now_ms=stack.clock, sleep=stack.clock.sleep)
    assert reindex(stack.services, apply=False, rate=rate, done=Reindexed()) == Reindexed(not_searchable=1)
    assert stack.services.search.find(Listing(q="lake"), limit=5).page.records == []
    done = reindex(stack.services, apply=True, rate=rate, done=Reindexed())
    assert done == Reindexed(not_searchable=1, made_searchable=1)
    assert entries(stack) == right
    assert stack.services.search.find(Listing(q="lake"), limit=5).page.records == [image]


def test_an_image_that_changes_during_its_repair_keeps_the_words_of_the_change(stack: Stack, image: Record) -> None:
    lost_entry(stack, image)

    def rename() -> None:
        stack.other_records().describe(image, title="Hill", alt_text=None, tags=None)

    stack.dynamodb.plan("batch_write_item", followed_by(rename))
    search_index.write(image.image_id, stack.services)
    assert {"hill"} == {key.stem for key in entries(stack)} & {"hill", "lake"}
    assert run(stack).is_clean


def test_reindex_goes_past_an_image_that_changes_all_the_time(stack: Stack, image: Record) -> None:
    lost_entry(stack, image)
    writes = 0

    def rename() -> None:
        nonlocal writes
        writes += 1
        latest = stack.other_records().get(image.image_id)
        assert latest is not None
        stack.other_records().describe(latest, title=f"Hill {writes}", alt_text=None, tags=None)

    stack.dynamodb.plan("batch_write_item", *[followed_by(rename)] * 5)
    rate = RateLimit(100, now_ms=stack.clock, sleep=stack.clock.sleep)
    done = reindex(stack.services, apply=True, rate=rate, done=Reindexed())
    assert (done, writes) == (Reindexed(not_searchable=1, made_searchable=0), 5)
