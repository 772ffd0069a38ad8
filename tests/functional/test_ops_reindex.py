"""`ops reindex` adds this version's index keys to records of an earlier version."""

from __future__ import annotations

from image_core.model import Record, Status
from image_core.stores.items import to_item
from ops.rate import RateLimit
from ops.reindex import Reindexed, reindex
from tests.functional.emulator import Stack
from tests.functional.images import image_in


def run(stack: Stack, *, apply: bool = True) -> Reindexed:
    rate = RateLimit(100, now_ms=stack.clock, sleep=stack.clock.sleep)
    return reindex(stack.services, apply=apply, rate=rate, done=Reindexed())


def found(stack: Stack, record: Record) -> list[str]:
    assert record.sha256 is not None
    return stack.records.same_content(record.sha256, limit=5, newest_first=False)


def test_old_records_are_found_by_their_bytes_after_reindexing(stack: Stack) -> None:
    new, old = image_in(stack.records, Status.SUCCESS), image_in(stack.records, Status.SUCCESS)
    item = to_item(old)
    del item["content"]
    stack.dynamodb.put_item(TableName=stack.settings.images_table, Item=item)
    stack.update_search_index()
    assert found(stack, old) == [new.image_id]
    assert run(stack, apply=False) == Reindexed(outdated=1, written=0)
    assert found(stack, old) == [new.image_id]
    assert run(stack) == Reindexed(outdated=1, written=1)
    assert set(found(stack, old)) == {new.image_id, old.image_id}
    assert run(stack) == Reindexed()
    assert to_item(stack.other_records().get(new.image_id) or new) == to_item(new), "other records stay unchanged"
