"""`local.moto_patches.tables`: the pages of a query equal those of unpatched moto, after all kinds of writes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.local.side_by_side import Both

STATUSES = ("pending", "success", "failed")
BIG = "x" * 150_000  # a page ends at 1 MB


@pytest.fixture(scope="module")
def images(both: Both) -> str:
    """A table after many writes with queries in between.

    Some items are in no index, and some leave an index again.
    """
    rng = random.Random(12)
    table = both.new_table("images")
    for number in range(100):
        key = {"id": {"S": f"i{rng.randrange(30)}"}}
        kind = rng.choice(["put", "put", "put", "update", "update", "delete", "transaction", "refused"])
        if kind == "put":
            both("dynamodb", "put_item", TableName=table, Item=key | attributes(rng))
        elif kind == "update":
            both("dynamodb", "update_item", TableName=table, Key=key, **update(rng))
        elif kind == "delete":
            both("dynamodb", "delete_item", TableName=table, Key=key)
        else:
            condition = "attribute_exists(id)" if kind == "refused" else "attribute_not_exists(nothing)"
            other = {"TableName": table, "Key": {"id": {"S": "missing"}}, "ConditionExpression": condition}
            put = {"TableName": table, "Item": key | attributes(rng)}
            both("dynamodb", "transact_write_items", TransactItems=[{"Put": put}, {"ConditionCheck": other}])
        if number % 20 == 0:
            query(both, table, "by_created", "listed", "images")
    big = [{"id": {"S": f"big{n:02d}"}, "listed": {"S": "big"}, "created": {"S": f"{n:02d}"}} for n in range(12)]
    puts = [{"PutRequest": {"Item": item | {"text": {"S": BIG}}}} for item in big]
    both("dynamodb", "batch_write_item", RequestItems={table: puts})
    return table


def attributes(rng: random.Random) -> dict[str, Any]:
    every = {
        "listed": {"S": "images"},
        "created": {"S": f"{rng.randrange(8):03d}"},  # often equal
        "status": {"S": rng.choice(STATUSES)},
        "sha": {"S": rng.choice("abc")},
    }
    return {name: value for name, value in every.items() if rng.random() < 0.8}


def update(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.3:
        return {"UpdateExpression": "REMOVE #s, sha", "ExpressionAttributeNames": {"#s": "status"}}
    return {
        "UpdateExpression": "SET #s = :status, created = :created",
        "ExpressionAttributeNames": {"#s": "status"},
        "ExpressionAttributeValues": {
            ":status": {"S": rng.choice(STATUSES)},
            ":created": {"S": f"{rng.randrange(8):03d}"},
        },
    }


def query(
    both: Both, table: str, index: str | None, name: str, value: str, condition: str = "", **more: Any
) -> list[list[Any]]:
    """Return all pages, which must be equal in both emulators; `condition` and `more` restrict the query."""
    arguments: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": f"#hash = :hash{condition}",
        "ExpressionAttributeNames": {"#hash": name},
        **({"IndexName": index} if index else {}),
        **more,
    }
    arguments["ExpressionAttributeValues"] = {":hash": {"S": value}} | more.get("ExpressionAttributeValues", {})
    pages: list[list[Any]] = []
    while True:
        page = both("dynamodb", "query", **arguments)
        pages.append(page["Items"])
        if "LastEvaluatedKey" not in page:
            return pages
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def test_attributes_of_all_types_are_returned_as_they_were_put(both: Both) -> None:
    item: dict[str, Any] = {
        "id": {"S": "all"},
        "text": {"S": 'é "\U0001f600" \n'},
        "empty": {"S": ""},
        "number": {"N": "-12.5"},
        "yes": {"BOOL": True},
        "nothing": {"NULL": True},
        "bytes": {"B": b"\x00\xff"},
        "texts": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2"]},
        "several bytes": {"BS": [b"a", b"\xff"]},
        "list": {"L": [{"S": "a"}, {"N": "1"}, {"L": [{"B": b"\xff"}]}]},
        "map": {"M": {"S": {"S": "named like a type"}, "N": {"M": {}}}},
    }
    table = both.new_table("images")
    both("dynamodb", "put_item", TableName=table, Item=item)
    assert both("dynamodb", "get_item", TableName=table, Key={"id": item["id"]})["Item"] == item
    assert both("dynamodb", "scan", TableName=table)["Items"] == [item]
    assert query(both, table, None, "id", "all") == [[item]]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [None, 1, 7])
def test_pages_of_every_index_are_the_same(both: Both, images: str, forward: bool, limit: int | None) -> None:
    more = {"ScanIndexForward": forward} | ({"Limit": limit} if limit else {})
    listed = query(both, images, "by_created", "listed", "images", **more)
    assert sum(map(len, listed)) > 7
    if limit != 1:
        for status in STATUSES:
            query(both, images, "by_status", "status", status, **more)
        query(both, images, "by_sha", "sha", "a", **more)
        query(both, images, None, "id", "i1", **more)
        query(both, images, "by_status", "status", "none such", **more)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(
    "condition",
    [
        " AND created = :a",
        " AND created < :a",
        " AND created <= :a",
        " AND created > :a",
        " AND created >= :a",
        " AND created BETWEEN :a AND :b",
        " AND begins_with(created, :p)",
    ],
)
def test_conditions_on_the_sort_key_are_the_same(both: Both, images: str, condition: str, forward: bool) -> None:
    every = {":a": {"S": "003"}, ":b": {"S": "005"}, ":p": {"S": "00"}}
    values = {name: value for name, value in every.items() if name in condition}
    more = {"ExpressionAttributeValues": values, "ScanIndexForward": forward, "Limit": 3}
    assert query(both, images, "by_created", "listed", "images", condition, **more)[0]


@pytest.mark.parametrize("more", [{}, {"Limit": 11}, {"Limit": 1000}])
def test_pages_end_at_one_megabyte(both: Both, images: str, more: dict[str, Any]) -> None:
    pages = query(both, images, "by_created", "listed", "big", **more)
    assert [len(page) for page in pages] == [6, 6]


def test_a_filter_and_a_deleted_start_key_give_the_same_pages(both: Both, images: str) -> None:
    pending = {":p": {"S": "pending"}}
    query(
        both, images, "by_created", "listed", "images",
        FilterExpression="#s = :p", ExpressionAttributeValues=pending,
        ExpressionAttributeNames={"#hash": "listed", "#s": "status"}, Limit=5,
    )  # fmt: skip
    for forward in (True, False):
        start = {"id": {"S": "i5x"}, "listed": {"S": "images"}, "created": {"S": "004"}}
        query(both, images, "by_created", "listed", "images", ExclusiveStartKey=start, ScanIndexForward=forward)


def test_numbers_sort_as_numbers(both: Both) -> None:
    table = both.new_table("counters")
    for number in ("10", "9", "-1", "0.5", "100"):
        both("dynamodb", "put_item", TableName=table, Item={"name": {"S": "a"}, "shard": {"N": number}})
        both("dynamodb", "put_item", TableName=table, Item={"name": {"S": "b"}, "shard": {"N": number}})
        query(both, table, None, "name", "a")
    (shards,) = query(both, table, None, "name", "a")
    assert [item["shard"]["N"] for item in shards] == ["-1", "0.5", "9", "10", "100"]
    query(both, table, None, "name", "b", " AND shard > :n", ExpressionAttributeValues={":n": {"N": "9"}}, Limit=1)


def test_refused_queries_are_refused_the_same_way(both: Both, images: str) -> None:
    for more in (
        {"IndexName": "no-such"},
        {"IndexName": "by_created", "ConsistentRead": True},
        {"TableName": "none"},
    ):
        arguments = {
            "TableName": images,
            "KeyConditionExpression": "listed = :v",
            "ExpressionAttributeValues": {":v": {"S": "images"}},
        }
        assert "Error" in both("dynamodb", "query", **arguments | more)


def test_an_index_added_later_contains_existing_items(both: Both) -> None:
    table = both.new_table("images")
    rng = random.Random(3)
    for number in range(10):
        item = {"id": {"S": f"i{number}"}} | attributes(rng)
        both("dynamodb", "put_item", TableName=table, Item=item)
    query(both, table, "by_sha", "sha", "a")
    index = {
        "IndexName": "by_sha_created",
        "KeySchema": [
            {"AttributeName": "sha", "KeyType": "HASH"},
            {"AttributeName": "created", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "ALL"},
    }
    for emulator in (both.patched, both.plain):
        emulator.client("dynamodb").update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Create": index}])
    assert query(both, table, "by_sha_created", "sha", "a")[0]
