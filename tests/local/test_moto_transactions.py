"""`local.moto_patches.transactions`: transactions have the same effects as in unpatched moto."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.local.side_by_side import Both, Emulator

FAILING = {
    "ConditionExpression": "#rev = :never",
    "ExpressionAttributeNames": {"#rev": "rev"},
    "ExpressionAttributeValues": {":never": {"N": "-1"}},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}


@pytest.fixture
def tables(both: Both) -> tuple[str, str]:
    """The names of an images table and a counters table with a few items."""
    images, counters = both.new_table("images"), both.new_table("counters")
    requests = {
        images: [{"PutRequest": {"Item": image(f"i{number}", number)}} for number in range(4)],
        counters: [{"PutRequest": {"Item": counter(number, number * 10)}} for number in range(4)],
    }
    both("dynamodb", "batch_write_item", RequestItems=requests)
    return images, counters


def image(image_id: str, number: int, status: str = "pending") -> dict[str, Any]:
    return {
        "id": {"S": image_id},
        "listed": {"S": "images"},
        "created": {"S": f"{number:05d}"},
        "status": {"S": status},
        "rev": {"N": str(number)},
        "exif": {"M": {"tags": {"L": [{"S": "a"}, {"N": "1"}]}}},
    }


def counter(shard: int, count: int) -> dict[str, Any]:
    return {"name": {"S": "stats"}, "shard": {"N": str(shard)}, "count": {"N": str(count)}}


def every_kind_of_write(images: str, counters: str) -> list[dict[str, dict[str, Any]]]:
    """Return one write of each kind, on existing and on missing items; all succeed."""
    shard = {"name": {"S": "stats"}}
    add = {
        "UpdateExpression": "ADD #count :one SET #by = :by",
        "ExpressionAttributeNames": {"#count": "count", "#by": "by"},
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":by": {"S": "me"}},
    }
    return [
        {"Put": {"TableName": images, "Item": image("new", 9)}},
        {"Put": {"TableName": images, "Item": image("i1", 1, "success")}},
        {"Update": {"TableName": counters, "Key": shard | {"shard": {"N": "1"}}, **add}},
        {"Update": {"TableName": counters, "Key": shard | {"shard": {"N": "77"}}, **add}},
        {"Delete": {"TableName": images, "Key": {"id": {"S": "i2"}}}},
        {"Delete": {"TableName": counters, "Key": shard | {"shard": {"N": "88"}}}},
        {
            "ConditionCheck": {
                "TableName": images,
                "Key": {"id": {"S": "i3"}},
                "ConditionExpression": "attribute_exists(id)",
            }
        },
    ]


WRITES = 7


def with_failing_condition(write: dict[str, dict[str, Any]]) -> None:
    (operation,) = write.values()
    names = operation.get("ExpressionAttributeNames", {}) | FAILING["ExpressionAttributeNames"]  # type: ignore[operator]
    values = operation.get("ExpressionAttributeValues", {}) | FAILING["ExpressionAttributeValues"]  # type: ignore[operator]
    operation.update(FAILING | {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values})


def with_missing_table(write: dict[str, dict[str, Any]]) -> None:
    (operation,) = write.values()
    operation["TableName"] = "there-is-none"


def without_key(write: dict[str, dict[str, Any]]) -> None:
    (operation,) = write.values()
    operation["Item" if "Item" in operation else "Key"] = {"other": {"S": "x"}}


def with_key_of_another_type(write: dict[str, dict[str, Any]]) -> None:
    (operation,) = write.values()
    key = operation["Item" if "Item" in operation else "Key"]
    key["id" if "id" in key else "shard"] = {"BOOL": True}


def with_broken_number(write: dict[str, dict[str, Any]]) -> None:
    (operation,) = write.values()
    if "Item" in operation:
        operation["Item"]["rev"] = {"N": "many"}
    else:
        operation["ExpressionAttributeValues"][":one"] = {"S": "many"}


FAULTS = [(spoil, position) for spoil in (with_failing_condition, without_key) for position in range(WRITES)]
FAULTS += [(with_missing_table, 3), (with_key_of_another_type, 0), (with_key_of_another_type, 3)]
FAULTS += [(with_broken_number, position) for position in range(4)]


def test_every_kind_of_write_succeeds(both: Both, tables: tuple[str, str]) -> None:
    outcome = both("dynamodb", "transact_write_items", TransactItems=every_kind_of_write(*tables))
    assert "Error" not in outcome
    both.assert_same_tables(*tables)
    assert_same_lists(both, tables[0])


@pytest.mark.parametrize(("spoil", "position"), FAULTS)
def test_a_failed_transaction_changes_nothing(
    both: Both, tables: tuple[str, str], spoil: Any, position: int
) -> None:
    assert_same_lists(both, tables[0])  # so that the indexes are in use
    writes = every_kind_of_write(*tables)
    spoil(writes[position])

    assert "Error" in both("dynamodb", "transact_write_items", TransactItems=writes)

    both.assert_same_tables(*tables)
    assert_same_lists(both, tables[0])


def test_two_writes_of_one_item_are_refused(both: Both, tables: tuple[str, str]) -> None:
    first, *_ = writes = every_kind_of_write(*tables)
    outcome = both("dynamodb", "transact_write_items", TransactItems=[*writes, copy.deepcopy(first)])
    assert outcome["Error"]["Code"] == "ValidationException"
    both.assert_same_tables(*tables)


def test_too_many_writes_are_refused(both: Both, tables: tuple[str, str]) -> None:
    writes = [{"Put": {"TableName": tables[0], "Item": image(f"n{number}", number)}} for number in range(101)]
    assert "Error" in both("dynamodb", "transact_write_items", TransactItems=writes)
    both.assert_same_tables(*tables)


# Cases in which unpatched moto keeps half of a failed transaction, unlike DynamoDB and patched moto


def test_nothing_changes_if_an_entry_has_two_operations(both: Both, tables: tuple[str, str]) -> None:
    *writes, last = every_kind_of_write(*tables)
    two = last | {"Delete": {"TableName": tables[0], "Key": {"id": {"S": "i0"}}}}
    assert_undone(both.patched, tables, [*writes, two])


def test_nothing_changes_if_a_table_is_named_by_its_arn(both: Both, tables: tuple[str, str]) -> None:
    writes = every_kind_of_write(*(f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}" for table in tables))
    with_failing_condition(writes[-1])
    assert_undone(both.patched, tables, writes)


def test_a_stream_reader_gets_no_record_of_a_failed_transaction_and_all_later_ones(
    both: Both, tables: tuple[str, str]
) -> None:
    iterator = both.patched.iterator(tables[0], "LATEST")
    writes = every_kind_of_write(*tables)
    with_failing_condition(writes[-1])
    assert_undone(both.patched, tables, writes)
    both.patched.outcome("dynamodb", "put_item", {"TableName": tables[0], "Item": image("later", 5)})
    assert [record["dynamodb"]["Keys"]["id"] for record in both.patched.records(iterator)] == [{"S": "later"}]


def assert_undone(patched: Emulator, tables: tuple[str, str], writes: list[dict[str, Any]]) -> None:
    before = [patched.table(table) for table in tables]
    assert "Error" in patched.outcome("dynamodb", "transact_write_items", {"TransactItems": writes})
    assert [patched.table(table) for table in tables] == before


def assert_same_lists(both: Both, images: str) -> None:
    """Assert that the indexes return the same items."""
    both("dynamodb", "query", **_list(images, "by_created", "listed", "images"))
    both("dynamodb", "query", **_list(images, "by_status", "status", "pending"))


def _list(images: str, index: str, name: str, value: str) -> dict[str, Any]:
    return {
        "TableName": images,
        "IndexName": index,
        "KeyConditionExpression": "#hash = :hash",
        "ExpressionAttributeNames": {"#hash": name},
        "ExpressionAttributeValues": {":hash": {"S": value}},
    }
