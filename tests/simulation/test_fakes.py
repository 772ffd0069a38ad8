"""The fakes return the same responses as moto to the same calls, including error codes."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functional.emulator import REGION, Clients, resource, table_shape
from tests.simulation.dynamodb import FakeDynamoDB
from tests.simulation.network import Client, Network
from tests.simulation.s3 import Bucket, FakeS3
from tests.simulation.sqs import FakeQueue, FakeSQS
from tests.simulation.world import World, serve

Make = Callable[[str, dict[str, Any]], Any]
Calls = Callable[[Make], None]
Responses = list[tuple[str, dict[str, Any]]]

PLAIN, VERSIONED = "plain", "versioned"


def s3_calls(make: Make) -> None:
    """Make every call that storage.py and ops use, in all cases that they distinguish."""
    for bucket in (PLAIN, VERSIONED):
        put = make(
            "put_object", {"Bucket": bucket, "Key": "a/é +%.png", "Body": b"one", "ContentType": "image/png"}
        )
        make("put_object", {"Bucket": bucket, "Key": "b", "Body": b"two", "IfNoneMatch": "*"})
        make("put_object", {"Bucket": bucket, "Key": "b", "Body": b"three", "IfNoneMatch": "*"})
        make("head_object", {"Bucket": bucket, "Key": "a/é +%.png"})
        make("head_object", {"Bucket": bucket, "Key": "never"})
        make("get_object", {"Bucket": bucket, "Key": "a/é +%.png"})
        make("get_object", {"Bucket": bucket, "Key": "a/é +%.png", "IfMatch": put["ETag"]})
        make("get_object", {"Bucket": bucket, "Key": "b", "IfMatch": put["ETag"]})
        make("get_object", {"Bucket": bucket, "Key": "never"})
        make("put_object", {"Bucket": bucket, "Key": "a/é +%.png", "Body": b"other"})
        make("get_object", {"Bucket": bucket, "Key": "a/é +%.png", "IfMatch": put["ETag"]})
        make("delete_object", {"Bucket": bucket, "Key": "a/é +%.png", "IfMatch": put["ETag"]})
        make("delete_object", {"Bucket": bucket, "Key": "b"})
        make("delete_object", {"Bucket": bucket, "Key": "b"})
        make("head_object", {"Bucket": bucket, "Key": "b"})
        make("get_object", {"Bucket": bucket, "Key": "b"})
        make("put_object", {"Bucket": bucket, "Key": "b", "Body": b"again", "IfNoneMatch": "*"})
        for key in ("p/1", "p/2", "p/3", "q/1"):
            make("put_object", {"Bucket": bucket, "Key": key, "Body": key.encode()})
        make("list_objects_v2", {"Bucket": bucket})
        make("list_objects_v2", {"Bucket": bucket, "Prefix": "p/"})
        make("list_objects_v2", {"Bucket": bucket, "Prefix": "none/"})
        make("list_objects_v2", {"Bucket": bucket, "StartAfter": "p/1"})
        page = make("list_objects_v2", {"Bucket": bucket, "Prefix": "p/", "MaxKeys": 2})
        token = page["NextContinuationToken"]
        make("list_objects_v2", {"Bucket": bucket, "Prefix": "p/", "ContinuationToken": token})
        keys = [{"Key": "p/1"}, {"Key": "p/2"}, {"Key": "gone"}]
        make("delete_objects", {"Bucket": bucket, "Delete": {"Objects": keys, "Quiet": True}})
        make("list_objects_v2", {"Bucket": bucket, "Prefix": "p/"})
    version = make("put_object", {"Bucket": VERSIONED, "Key": "v", "Body": b"first"})["VersionId"]
    make("put_object", {"Bucket": VERSIONED, "Key": "v", "Body": b"second"})
    make("get_object", {"Bucket": VERSIONED, "Key": "v", "VersionId": version})
    make("delete_object", {"Bucket": VERSIONED, "Key": "v"})
    make("get_object", {"Bucket": VERSIONED, "Key": "v", "VersionId": version})
    make("head_object", {"Bucket": "no-such-bucket-here", "Key": "v"})
    make("put_object", {"Bucket": "no-such-bucket-here", "Key": "v", "Body": b""})


def _image(image_id: str, rev: int, status: str = "pending", order: str = "1") -> dict[str, Any]:
    return {
        "image_id": {"S": image_id},
        "rev": {"N": str(rev)},
        "status": {"S": status},
        "status_order": {"S": order},
        "listed": {"S": "images"},
        "created_order": {"S": order},
    }


def _if_new(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "TableName": "images",
        "Item": item,
        "ConditionExpression": "attribute_not_exists(#id)",
        "ExpressionAttributeNames": {"#id": "image_id"},
    }


def _if_rev(rev: int) -> dict[str, Any]:
    return {
        "ConditionExpression": "#rev = :rev",
        "ExpressionAttributeNames": {"#rev": "rev"},
        "ExpressionAttributeValues": {":rev": {"N": str(rev)}},
    }


def _count(shard: int, **amounts: int) -> dict[str, Any]:
    return {
        "TableName": "stats",
        "Key": {"name": {"S": "images"}, "shard": {"N": str(shard)}},
        "UpdateExpression": "ADD " + ", ".join(f"#{name} :{name}" for name in amounts),
        "ExpressionAttributeNames": {f"#{name}": name for name in amounts},
        "ExpressionAttributeValues": {f":{name}": {"N": str(amount)} for name, amount in amounts.items()},
    }


def _by_status(status: str, **more: Any) -> dict[str, Any]:
    return {
        "TableName": "images",
        "IndexName": "by_status",
        "KeyConditionExpression": "#status = :status",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":status": {"S": status}},
    } | more


def dynamodb_calls(make: Make) -> None:
    """Make every call that records and ops use, in all cases that they distinguish."""
    make("get_item", {"TableName": "images", "Key": {"image_id": {"S": "a"}}, "ConsistentRead": True})
    make("put_item", _if_new(_image("a", 1)))
    make("put_item", _if_new(_image("a", 1)))
    make("put_item", {"TableName": "images", "Item": _image("a", 2, "failed", "2"), **_if_rev(1)})
    make("put_item", {"TableName": "images", "Item": _image("a", 3), **_if_rev(1)})
    make("put_item", {"TableName": "images", "Item": _image("none", 3), **_if_rev(1)})
    make("get_item", {"TableName": "images", "Key": {"image_id": {"S": "a"}}, "ConsistentRead": True})
    both = [{"Put": _if_new(_image("b", 1, order="3"))}, {"Update": _count(0, pending=1, transitions=1)}]
    make("transact_write_items", {"TransactItems": both})
    make("transact_write_items", {"TransactItems": both})
    moved = {"TableName": "images", "Item": _image("b", 2, "processing", "3"), **_if_rev(1)}
    counted = {"Update": _count(1, pending=-1, processing=1)}
    make("transact_write_items", {"TransactItems": [{"Put": moved}, counted]})
    make("transact_write_items", {"TransactItems": [{"Put": moved}, counted]})
    make("transact_write_items", {"TransactItems": [{"Put": {**moved, "TableName": "no-table"}}]})
    every = {
        "TableName": "stats",
        "KeyConditionExpression": "#name = :name",
        "ExpressionAttributeNames": {"#name": "name"},
        "ExpressionAttributeValues": {":name": {"S": "images"}},
        "ConsistentRead": True,
    }
    make("query", every)
    if_transitions = {
        "ConditionExpression": "#transitions = :seen",
        "UpdateExpression": "ADD #pending :pending SET #note = :note",
    }
    for seen in ("1", "2"):
        change = _count(0, pending=5) | if_transitions
        change["ExpressionAttributeNames"] = {"#pending": "pending", "#transitions": "transitions", "#note": "note"}
        change["ExpressionAttributeValues"] = {
            ":pending": {"N": "5"},
            ":seen": {"N": seen},
            ":note": {"S": "by hand"},
        }
        make("update_item", change)
    make("query", every)
    for number in range(5):
        make("put_item", {"TableName": "images", "Item": _image(f"p{number}", 1, "success", f"{9 - number}")})
    make("query", _by_status("success"))
    make("query", _by_status("success", ScanIndexForward=False))
    page = make("query", _by_status("success", ScanIndexForward=False, Limit=2))
    last = page["LastEvaluatedKey"]
    make("query", _by_status("success", ScanIndexForward=False, Limit=2, ExclusiveStartKey=last))
    make("query", _by_status("success", Limit=2, ExclusiveStartKey=last))
    make("query", _by_status("deleting"))
    keys = [{"image_id": {"S": image_id}} for image_id in ("p1", "a", "nobody")]
    make("batch_get_item", {"RequestItems": {"images": {"Keys": keys, "ConsistentRead": True}}})
    make("delete_item", {"TableName": "images", "Key": {"image_id": {"S": "a"}}, **_if_rev(1)})
    make("delete_item", {"TableName": "images", "Key": {"image_id": {"S": "a"}}, **_if_rev(2)})
    make("delete_item", {"TableName": "images", "Key": {"image_id": {"S": "a"}}, **_if_rev(2)})
    make("scan", {"TableName": "images", "ConsistentRead": True})
    make("query", _by_status("failed"))
    make("get_item", {"TableName": "no-table", "Key": {"image_id": {"S": "a"}}})
    make("put_item", {"TableName": "no-table", "Item": _image("a", 1)})


def sqs_calls(make: Make) -> None:
    """Send, receive, hide and delete; a message that was received too often becomes a dead letter."""
    make("receive_message", {"QueueUrl": "queue", "MaxNumberOfMessages": 1})
    make("send_message", {"QueueUrl": "queue", "MessageBody": "one"})
    for _ in range(2):
        received = make("receive_message", {"QueueUrl": "queue", "MaxNumberOfMessages": 10})
        receipt = received["Messages"][0]["ReceiptHandle"]
        make("receive_message", {"QueueUrl": "queue", "MaxNumberOfMessages": 10})
        change = {"QueueUrl": "queue", "ReceiptHandle": receipt, "VisibilityTimeout": 0}
        make("change_message_visibility", change)
    # It was received as often as the redrive policy allows, so now it becomes a dead letter.
    make("receive_message", {"QueueUrl": "queue", "MaxNumberOfMessages": 10})
    letter = make("receive_message", {"QueueUrl": "dead-letters", "MaxNumberOfMessages": 10})["Messages"][0]
    make("delete_message", {"QueueUrl": "dead-letters", "ReceiptHandle": letter["ReceiptHandle"]})
    make("receive_message", {"QueueUrl": "dead-letters", "MaxNumberOfMessages": 10})
    make("send_message", {"QueueUrl": "queue", "MessageBody": "two"})
    receipt = make("receive_message", {"QueueUrl": "queue"})["Messages"][0]["ReceiptHandle"]
    make("delete_message", {"QueueUrl": "queue", "ReceiptHandle": receipt})
    make("receive_message", {"QueueUrl": "queue"})
    make("send_message", {"QueueUrl": "nowhere", "MessageBody": "three"})


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sqs"])
def test_the_fake_responds_as_moto_does(service: str, clients: Clients) -> None:
    calls: Calls = {"s3": s3_calls, "dynamodb": dynamodb_calls, "sqs": sqs_calls}[service]
    of_moto: Responses = []
    of_fake: Responses = []
    calls(_recorder(*_moto(service, clients), of_moto))
    calls(_recorder(*_fake(service), of_fake))
    assert len(of_fake) == len(of_moto)
    for from_fake, from_moto in zip(of_fake, of_moto, strict=True):
        assert from_fake == from_moto
    codes = {response["Code"] for _, response in of_fake if "Code" in response}
    print(f"{service}: {len(of_fake)} calls with the same responses; error codes: {', '.join(sorted(codes))}")
    assert len(codes) >= {"s3": 4, "dynamodb": 3, "sqs": 1}[service]


def _moto(service: str, clients: Clients) -> tuple[Any, dict[str, str]]:
    """Return a client and the real names for the names in the calls."""
    suffix = uuid.uuid4().hex[:8]
    if service == "s3":
        names = {PLAIN: f"plain-{suffix}", VERSIONED: f"versioned-{suffix}"}
        for bucket in names.values():
            clients.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        clients.s3.put_bucket_versioning(Bucket=names[VERSIONED], VersioningConfiguration={"Status": "Enabled"})
        return clients.s3, names
    if service == "dynamodb":
        names = {"images": f"images-{suffix}", "stats": f"stats-{suffix}"}
        for name, table in (("images", "ImagesTable"), ("stats", "StatsTable")):
            clients.dynamodb.create_table(TableName=names[name], **table_shape(table))
        return clients.dynamodb, names
    letters = clients.sqs.create_queue(QueueName=f"letters-{suffix}")["QueueUrl"]
    arn = clients.sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'
    queue = clients.sqs.create_queue(QueueName=f"queue-{suffix}", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return clients.sqs, {"queue": queue, "dead-letters": letters, "nowhere": f"{queue}-nowhere"}


def _fake(service: str) -> tuple[Any, dict[str, str]]:
    world = World(0)
    if service == "s3":
        s3 = FakeS3(lambda: world.now)
        s3.buckets = {PLAIN: Bucket(versioned=False), VERSIONED: Bucket(versioned=True)}
        return s3, {}
    if service == "dynamodb":
        return FakeDynamoDB({"images": resource("ImagesTable"), "stats": resource("StatsTable")}), {}
    sqs = FakeSQS(lambda: world.now)
    sqs.queues = {"queue": FakeQueue(30, 2, "dead-letters"), "dead-letters": FakeQueue(30)}
    return sqs, {}


def _recorder(client: Any, names: dict[str, str], responses: Responses) -> Make:
    """Return a function that makes calls and records their responses, without values that always differ."""

    def make(operation: str, arguments: dict[str, Any]) -> Any:
        world = World(0)
        try:
            response = getattr(client, operation)(**_named(arguments, names))
            if hasattr(response, "send"):
                promise = serve(world, response)
                world.run(until=world.now + 1)
                response = promise.result()
        except ClientError as error:
            error_summary: dict[str, Any] = {"Code": error.response["Error"]["Code"], "Class": type(error).__name__}
            reasons = error.response.get("CancellationReasons")
            if reasons is not None:
                error_summary["Reasons"] = [reason["Code"] for reason in reasons]
            responses.append((operation, error_summary))
            return None
        if "Body" in response:
            response = response | {"Body": response["Body"].read()}
        responses.append((operation, _plain(_named(response, {there: here for here, there in names.items()}))))
        return response

    return make


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_named(key, names): _named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


COMPARED = {
    *("ETag", "Body", "ContentLength", "ContentType", "VersionId", "LastModified", "DeleteMarker"),
    # Not "Deleted": moto returns it even with `Quiet`.
    *("Contents", "KeyCount", "IsTruncated", "NextContinuationToken", "Errors"),
    *("Item", "Items", "Count", "ScannedCount", "LastEvaluatedKey", "Responses", "UnprocessedKeys"),
    *("Messages", "MessageId"),
}
OPAQUE = {"VersionId", "NextContinuationToken", "MessageId", "ReceiptHandle", "LastModified"}
"""The values always differ. The tests compare only that they exist and their type."""


def _plain(response: dict[str, Any]) -> dict[str, Any]:
    compared = {name: value for name, value in response.items() if name in COMPARED}
    # moto responds to a put in an unversioned bucket with the version id "null".
    for listed in compared.get("Contents", []):
        for name in set(listed) - {"Key", "ETag", "Size", "LastModified"}:
            del listed[name]
    if "Messages" in compared:
        compared["Messages"] = [message["Body"] for message in compared["Messages"]]
    if "Responses" in compared:
        compared["Responses"] = {
            table: sorted(items, key=lambda item: str(item["image_id"]))
            for table, items in compared["Responses"].items()
        }
    if "Items" in compared and "LastEvaluatedKey" not in compared:
        compared["Items"] = sorted(compared["Items"], key=lambda item: json.dumps(item, sort_keys=True))
    return {name: _opaque(name, value) for name, value in compared.items()}


def _opaque(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_opaque(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _opaque(key, item) for key, item in value.items()}
    if name in OPAQUE:
        return type(value) if isinstance(value, datetime) else bool(re.fullmatch(r"\S+", str(value)))
    return value


def test_a_client_of_the_simulation_has_boto3s_exceptions() -> None:
    world = World(0)
    network = Network(world, faults=lambda _: None, latency=lambda: 0.0, pause=lambda: 0.0)
    client: Any = Client(network, "dynamodb", FakeDynamoDB({"images": resource("ImagesTable")}))
    caught: list[str] = []

    def call() -> None:
        for _ in range(2):
            try:
                client.put_item(**_if_new(_image("a", 1)))
            except client.exceptions.ConditionalCheckFailedException as error:
                caught.append(type(error).__name__)

    world.start("caller", call)
    world.run(until=world.now + 1)
    assert caught == ["ConditionalCheckFailedException"]
    assert world.violations == []
