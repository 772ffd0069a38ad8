"""The stream function, with real records from the images table's stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from jsonschema import Draft202012Validator

from image_core.model import Status
from image_stream.handler import handle
from local.stream_source import lambda_event
from local.template import ROOT
from tests.functional.emulator import EMULATOR, Clients, Stack, raising
from tests.functional.http_api import Api
from tests.functional.images import DIGEST, image_in

SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text(encoding="utf-8"))
LOST = ConnectionClosedError(endpoint_url="https://aws")


@pytest.fixture
def stack(make_stack: Callable[..., Stack], clients: Clients) -> Stack:
    """A stack with streams and an event bus."""
    stack = make_stack(streams=True, api_url="https://api.example/")
    if EMULATOR == "moto":  # the local stack's PutEvents, which MiniStack serves here, accepts any bus
        clients.events.create_event_bus(Name=stack.event_bus)
    return stack


@pytest.fixture
def deliver(stack: Stack, clients: Clients) -> Callable[[], list[str]]:
    """Pass all records of the stream to the function. Return the images whose records it requests again."""

    def deliver() -> list[str]:
        streams = clients.dynamodbstreams
        arn = clients.dynamodb.describe_table(TableName=stack.images_table)["Table"]["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        start = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.get_shard_iterator(**start)["ShardIterator"]
        records = streams.get_records(ShardIterator=iterator)["Records"]
        images = {
            record["dynamodb"]["SequenceNumber"]: record["dynamodb"]["Keys"]["image_id"]["S"] for record in records
        }
        failures = handle(lambda_event(records, stream_arn=arn), stack.services)["batchItemFailures"]
        return [images[failure["itemIdentifier"]] for failure in failures]

    return deliver


def sent(stack: Stack) -> list[tuple[str, str, dict[str, Any]]]:
    """Return source, type and detail of the events that were sent."""
    entries = [entry for call in stack.events.arguments("put_events") for entry in call["Entries"]]
    return [(entry["Source"], entry["DetailType"], json.loads(entry["Detail"])) for entry in entries]


def test_each_end_of_an_images_life_sends_one_event(stack: Stack, deliver: Callable[[], list[str]]) -> None:
    image = image_in(stack.records, Status.SUCCESS)
    failed = image_in(stack.records, Status.FAILED)
    image_in(stack.records, Status.RESERVED)
    stack.records.describe(image, title=None, alt_text="A lake", tags=None)
    assert Api(stack.services).delete(f"/api/images/{image.image_id}").status == 204
    assert deliver() == []
    events = sent(stack)
    assert [(source, kind, detail["image_id"]) for source, kind, detail in events] == [
        ("image-pipeline", "ImageProcessed", image.image_id),
        ("image-pipeline", "ImageFailed", failed.image_id),
        ("image-pipeline", "ImageDeleted", image.image_id),
    ]
    for _, _, detail in events:
        Draft202012Validator(SCHEMA).validate(detail)
    path = f"/api/images/{image.image_id}/thumbnails/small?v={DIGEST}"
    assert events[0][2]["thumbnails"]["small"] == f"https://api.example{path}"


def test_repeated_records_send_the_same_events(stack: Stack, deliver: Callable[[], list[str]]) -> None:
    image_in(stack.records, Status.DELETING)
    image_in(stack.records, Status.SUCCESS)
    deliver()
    deliver()
    events = sent(stack)
    assert len(events) == 4 and events[:2] == events[2:]
    assert len({detail["event_id"] for _, _, detail in events}) == 2


def test_a_record_whose_event_was_not_sent_is_requested_again(
    stack: Stack, deliver: Callable[[], list[str]]
) -> None:
    images = [image_in(stack.records, Status.SUCCESS) for _ in range(12)]

    def refuse_second(call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        response = call(**arguments)
        response["Entries"][1] = {"ErrorCode": "InternalFailure"}
        return response | {"FailedEntryCount": 1}

    stack.events.plan("put_events", refuse_second)
    assert deliver() == [images[1].image_id]
    stack.events.plan("put_events", lambda call, arguments: call(**arguments), raising(LOST))
    assert deliver() == [images[10].image_id], "the second call of ten was lost"
    assert deliver() == []
    assert {detail["image_id"] for *_, detail in sent(stack)} == {image.image_id for image in images}
