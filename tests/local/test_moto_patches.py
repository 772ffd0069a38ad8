"""What `local.moto_patches` ensures: calls cost no more with more data, and replaced data do not stay in memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamRecord
from moto.s3.models import FakeKey, S3Backend, s3_backends
from moto.sqs.models import SQSBackend

from local import moto_patches
from local.moto_patches.replacing import MotoChanged, check_version, replace
from tests.local.side_by_side import IMAGES, Both

REGION = "us-east-1"
FEW, MANY = 50, 1000


@pytest.fixture(autouse=True)
def _patched() -> None:
    moto_patches.apply()


def python_calls(action: Callable[[], object]) -> int:
    """Count the Python functions that run during `action`: a cost that does not depend on the machine's load."""
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    action()  # so that one-time work is not counted
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def images(number: int) -> DynamoDBBackend:
    """Create a table with that many images and indexes in use."""
    backend = DynamoDBBackend(REGION, DEFAULT_ACCOUNT_ID)
    backend.create_table(
        "images",
        schema=IMAGES["KeySchema"],
        throughput=None,
        attr=IMAGES["AttributeDefinitions"],
        global_indexes=IMAGES["GlobalSecondaryIndexes"],
        indexes=None,
        streams=dict(IMAGES["StreamSpecification"]),
        billing_mode="PAY_PER_REQUEST",
        sse_specification=None,
        tags=[],
        deletion_protection_enabled=False,
        warm_throughput=None,
    )
    for one in range(number):
        backend.put_item("images", image(one))
    newest_page(backend)
    return backend


def image(number: int) -> dict[str, Any]:
    order = f"{number:06d}"
    return {"id": {"S": order}, "listed": {"S": "all"}, "created": {"S": order}, "status": {"S": "done"}}


def newest_page(backend: DynamoDBBackend) -> None:
    listed = {"S": "all"}
    items, _, last = backend.query(
        "images", listed, None, [], 10, None, False, None, "by_created", hash_key_conditions=[("listed", listed)]
    )  # fmt: skip
    assert len(items) == 10 and last


def transaction(backend: DynamoDBBackend) -> None:
    put: Any = {"TableName": "images", "Item": image(7)}
    backend.transact_write_items([{"Put": put}])


@pytest.mark.parametrize("action", [newest_page, transaction])
def test_a_call_costs_the_same_in_a_large_table(action: Callable[[DynamoDBBackend], None]) -> None:
    few, many = images(FEW), images(MANY)
    assert python_calls(lambda: action(many)) <= 1.1 * python_calls(lambda: action(few))


def test_a_message_costs_the_same_in_a_long_queue() -> None:
    def cost(waiting: int) -> int:
        backend = SQSBackend(REGION, DEFAULT_ACCOUNT_ID)
        backend.create_queue("queue", region=REGION)
        for _ in range(waiting):
            backend.send_message("queue", "body")

        def pass_one_on() -> None:
            backend.send_message("queue", "body")
            (message,) = backend.receive_message("queue", 1, 0, 30)
            assert message.receipt_handle
            backend.delete_message("queue", message.receipt_handle)

        return python_calls(pass_one_on)

    assert cost(MANY) <= 1.1 * cost(FEW)


def test_a_listing_costs_the_same_in_a_large_bucket() -> None:
    backend = S3Backend(REGION, DEFAULT_ACCOUNT_ID)
    bucket = backend.create_bucket("listed", REGION)

    def cost(start: int, end: int) -> tuple[int, int]:
        for number in range(start, end):
            for size in ("medium", "small"):
                backend.put_object("listed", f"{number:06d}/{size}", b"")
        return (
            python_calls(lambda: backend.list_objects_v2(bucket, "000007/", None, None, None, 1000)),
            python_calls(lambda: backend.list_objects_v2(bucket, None, None, None, "000007", 10)),
        )

    few, many = cost(0, FEW), cost(FEW, MANY)
    assert all(more <= 1.1 * less for less, more in zip(few, many, strict=True))


def test_replaced_data_do_not_stay_in_memory() -> None:
    backend = images(FEW)
    objects = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    objects.create_bucket("replaced", REGION)

    def alive() -> dict[str, int]:
        gc.collect()
        found = [type(one) for one in gc.get_objects()]
        return {kind.__name__: found.count(kind) for kind in (Item, FakeKey)}

    objects.put_object("replaced", "key", b"")
    before = alive()
    for _ in range(FEW):
        transaction(backend)
        objects.put_object("replaced", "key", b"")
    assert alive() == before
    objects.delete_object("replaced", "key")
    objects.delete_bucket("replaced")


def test_messages_are_deleted_as_in_plain_moto(both: Both) -> None:
    queues = [
        emulator.client("sqs").create_queue(QueueName="same")["QueueUrl"] for emulator in (both.patched, both.plain)
    ]

    def run(emulator: Any) -> list[Any]:
        queue = {"QueueUrl": queues[emulator is both.plain]}
        sqs = emulator.client("sqs")
        for body in ("delayed", "a", "b"):
            sqs.send_message(**queue, MessageBody=body, DelaySeconds=900 if body == "delayed" else 0)
        first = sqs.receive_message(**queue, VisibilityTimeout=0)["Messages"]  # immediately visible again
        again = sqs.receive_message(**queue, MaxNumberOfMessages=10)["Messages"]
        outcomes: list[Any] = [[message["Body"] for message in messages] for messages in (first, again)]
        for handle in (first[0]["ReceiptHandle"], again[0]["ReceiptHandle"], again[1]["ReceiptHandle"], "unknown"):
            outcomes.append(emulator.outcome("sqs", "delete_message", queue | {"ReceiptHandle": handle}))
        wanted = {"AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]}
        return [*outcomes, emulator.outcome("sqs", "get_queue_attributes", queue | wanted)]

    both.same(run)


def test_the_error_for_another_version_of_moto_says_what_to_do() -> None:
    with pytest.raises(
        MotoChanged, match=r"written for moto 5\.2\.5, but 5\.3\.0 is installed\. Install moto==5\.2\.5"
    ):
        check_version("5.3.0")


def test_a_missing_attribute_is_not_replaced() -> None:
    with pytest.raises(MotoChanged, match="StreamRecord has no to_xml"):
        replace(StreamRecord, "to_xml", None)
