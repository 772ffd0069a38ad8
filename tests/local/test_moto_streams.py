"""`local.moto_patches.streams`: a stream keeps its newest records, and readers continue where they stopped."""

from __future__ import annotations

from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.dynamodbstreams.models import dynamodbstreams_backends

from local import moto_patches
from local.moto_patches.streams import ITERATORS, RECORDS
from tests.local.side_by_side import Both

REGION = "us-east-1"
DROPPED = 200
KEPT = list(range(DROPPED, DROPPED + RECORDS))


class Stream:
    """A table in this process and its stream. Each record is about a new item whose id is the record's number."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._backend = dynamodbstreams_backends[DEFAULT_ACCOUNT_ID][REGION]

    def put(self, numbers: range) -> None:
        for number in numbers:
            self.table.put_item({"id": {"S": str(number)}})

    def iterator(self, kind: str, sequence_number: str | None = None) -> str:
        shard: Any = self.table.stream_shard
        number: Any = None if sequence_number is None else int(sequence_number)  # as moto's response class does
        arn = self.table.describe()["TableDescription"]["LatestStreamArn"]
        return self._backend.get_shard_iterator(arn, shard.id, kind, number).arn

    def page(self, iterator: str, limit: int = 1000) -> tuple[list[Any], str]:
        """Return the records of a page, and the next iterator."""
        found = self._backend.get_records(iterator, limit)
        return found["Records"], found["NextShardIterator"]

    def records(self, iterator: str) -> list[Any]:
        """Return the records of all pages."""
        every: list[Any] = []
        while (page := self.page(iterator))[0]:
            every += page[0]
            iterator = page[1]
        return every

    def ids(self, kind: str, sequence_number: str | None = None) -> list[int]:
        return ids(self.records(self.iterator(kind, sequence_number)))


def ids(records: list[Any]) -> list[int]:
    return [int(record["dynamodb"]["Keys"]["id"]["S"]) for record in records]


def number_of(record: Any) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


@pytest.fixture
def stream() -> Stream:
    moto_patches.apply()
    return Stream(
        Table(
            "images",
            account_id=DEFAULT_ACCOUNT_ID,
            region=REGION,
            schema=[{"AttributeName": "id", "KeyType": "HASH"}],
            attr=[{"AttributeName": "id", "AttributeType": "S"}],
            streams={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
    )


@pytest.fixture(autouse=True)
def _known(stream: Stream) -> Any:
    tables = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables
    tables[stream.table.name] = stream.table
    yield
    del tables[stream.table.name]


def test_the_newest_records_are_kept_in_order(stream: Stream) -> None:
    stream.put(range(DROPPED + RECORDS))
    records = stream.records(stream.iterator("TRIM_HORIZON"))
    assert ids(records) == KEPT
    numbers = [int(number_of(record)) for record in records]
    assert numbers == list(range(numbers[0], numbers[0] + RECORDS))


def test_a_reader_that_is_too_slow_gets_the_remaining_records(stream: Stream) -> None:
    stream.put(range(3))
    (_, second), iterator = stream.page(stream.iterator("TRIM_HORIZON"), limit=2)
    stream.put(range(3, DROPPED + RECORDS))
    assert ids(stream.records(iterator)) == KEPT
    assert stream.ids("AFTER_SEQUENCE_NUMBER", number_of(second)) == KEPT
    assert stream.ids("AT_SEQUENCE_NUMBER", number_of(second)) == KEPT


def test_a_reader_that_keeps_up_gets_every_record_once(stream: Stream) -> None:
    stream.put(range(RECORDS))
    (oldest, *_), iterator = stream.page(stream.iterator("TRIM_HORIZON"), limit=DROPPED + 2)
    *_, newest = stream.records(iterator)
    stream.put(range(RECORDS, RECORDS + DROPPED))
    assert ids(stream.records(iterator)) == KEPT[2:]
    assert stream.ids("AFTER_SEQUENCE_NUMBER", number_of(newest)) == KEPT[-DROPPED:]
    assert stream.ids("AT_SEQUENCE_NUMBER", number_of(newest)) == KEPT[-DROPPED - 1 :]
    assert stream.ids("AFTER_SEQUENCE_NUMBER", number_of(oldest)) == KEPT


def test_latest_returns_only_new_records(stream: Stream) -> None:
    stream.put(range(RECORDS))
    iterator = stream.iterator("LATEST")
    assert stream.records(iterator) == []
    stream.put(range(RECORDS, RECORDS + 2))
    assert ids(stream.records(iterator)) == [RECORDS, RECORDS + 1]


def test_a_failed_transaction_removes_nothing_from_a_full_stream(stream: Stream) -> None:
    stream.put(range(DROPPED + RECORDS))
    name = stream.table.name
    puts: list[Any] = [{"Put": {"TableName": name, "Item": {"id": {"S": f"no{number}"}}}} for number in range(20)]
    never = {"Key": {"id": {"S": "0"}}, "ConditionExpression": "attribute_not_exists(id)"}
    with pytest.raises(Exception, match="ConditionalCheckFailed"):
        dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].transact_write_items(
            [*puts, {"ConditionCheck": {"TableName": name, **never}}]
        )
    assert stream.ids("TRIM_HORIZON") == KEPT


def test_records_equal_those_of_plain_moto(both: Both) -> None:
    table = both.new_table("images")
    key = {"id": {"S": "a"}}
    item = key | {"text": {"S": "é"}, "raw": {"B": b"\0\xff"}, "tags": {"L": [{"M": {"n": {"N": "1"}}}]}}
    both("dynamodb", "put_item", TableName=table, Item=item)
    both("dynamodb", "update_item", TableName=table, Key=key, UpdateExpression="REMOVE tags")
    both("dynamodb", "delete_item", TableName=table, Key=key)
    both.assert_same_tables(table)


def test_an_iterator_can_be_used_again_until_there_are_many_newer_ones(both: Both, stream: Stream) -> None:
    old = stream.iterator("LATEST")
    stream.put(range(1))
    assert ids(stream.page(old)[0]) == ids(stream.page(old)[0]) == [0]
    iterator = old
    for _ in range(ITERATORS):
        iterator = stream.page(iterator)[1]
    with pytest.raises(Exception, match="ExpiredIteratorException"):
        stream.page(old)
    assert stream.page(iterator)[0] == []
    # The error as clients get it:
    streams = both.patched.client("dynamodbstreams")
    with pytest.raises(streams.exceptions.ExpiredIteratorException):
        streams.get_records(ShardIterator="unknown")
