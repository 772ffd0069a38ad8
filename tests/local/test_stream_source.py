"""`local.stream_source`: a function gets every record of a table's stream in order, and failed records again."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from local.deploy import FunctionConfiguration, StreamSource
from local.function import LocalFunction
from local.stream_source import StreamPoller, first_failed, lambda_event
from tests.local.conftest import Notes

NUMBERS = ["1", "2", "3"]
BATCH: list[Any] = [{"dynamodb": {"SequenceNumber": number}} for number in NUMBERS]


@pytest.fixture
def put(session: boto3.Session, aws_url: str) -> Callable[..., None]:
    """Returns a function that puts items into a new table with a stream; `put.arn` is the stream's ARN."""
    dynamodb = session.client("dynamodb", endpoint_url=aws_url)
    name = f"t{uuid.uuid4().hex[:12]}"
    created = dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )

    def put(*items: dict[str, str]) -> None:
        for item in items:
            dynamodb.put_item(TableName=name, Item={key: {"S": value} for key, value in item.items()})

    put.arn = created["TableDescription"]["LatestStreamArn"]  # type: ignore[attr-defined]
    return put


@pytest.fixture
def poll(
    put: Any, session: boto3.Session, aws_url: str, environment: dict[str, str], notes: Notes
) -> Iterator[Any]:
    """Returns a function that starts the fake function on the table's stream."""
    stopping = threading.Event()
    env = environment | {"FAKE_NOTES": str(notes.path)}
    function = LocalFunction(
        "stream", FunctionConfiguration("image_stream.handler.handler", 20, 128, {}), env, workers=1
    )
    streams = session.client("dynamodbstreams", endpoint_url=aws_url)
    source = StreamSource("StreamFunction", put.arn, batch_size=4)
    thread = threading.Thread(
        target=StreamPoller(streams, source, function, poll_seconds=0.02).run, args=(stopping,), daemon=True
    )
    yield thread.start
    stopping.set()
    function.stop()
    if thread.ident:
        thread.join(timeout=10)


def batches(notes: Notes) -> list[list[str]]:
    """Return the ids in each batch that the function got."""
    return [[record["dynamodb"]["Keys"]["id"]["S"] for record in note["stream"]] for note in notes.read()]


def test_records_arrive_in_order_and_in_lambdas_format(put, poll, notes, eventually):
    put(*({"id": f"i{number}"} for number in range(6)))
    poll()
    eventually(lambda: sum(map(len, batches(notes))) == 6)
    assert batches(notes) == [["i0", "i1", "i2", "i3"], ["i4", "i5"]]
    record = notes.read()[0]["stream"][0]
    assert record["eventSourceARN"] == put.arn
    assert record["eventName"] == "INSERT"
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], float)
    put({"id": "i0", "title": "new"})
    eventually(lambda: sum(map(len, batches(notes))) == 7)
    change = notes.read()[-1]["stream"][0]["dynamodb"]
    assert (change["OldImage"], change["NewImage"]["title"]) == ({"id": {"S": "i0"}}, {"S": "new"})


def test_a_batch_that_raised_is_delivered_again_in_halves(put, poll, notes, eventually):
    put({"id": "a"}, {"id": "b"}, {"id": "c", "do": "raise once"}, {"id": "d"})
    poll()
    eventually(lambda: batches(notes)[-1:] == [["c", "d"]])
    assert batches(notes) == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]


def test_a_partly_failed_batch_is_delivered_again_from_the_first_failed_record(put, poll, notes, eventually):
    put({"id": "a"}, {"id": "b", "do": "fail once"}, {"id": "c"}, {"id": "d"})
    poll()
    eventually(lambda: batches(notes)[-1:] == [["d"]])
    assert batches(notes) == [["a", "b", "c", "d"], ["b", "c"], ["d"]]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, 3),
        ({}, 3),
        ({"batchItemFailures": []}, 3),
        ({"batchItemFailures": [{"itemIdentifier": "2"}]}, 1),
        ({"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}, 1),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, 0),
        ({"batchItemFailures": [{}]}, 0),
    ],
)
def test_the_first_failed_record_is_interpreted_as_by_lambda(result: Any, expected: int) -> None:
    assert first_failed(result, BATCH) == expected


def test_an_event_is_json() -> None:
    image = {"raw": {"B": b"\0\xff"}}
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    event = lambda_event([{"dynamodb": {"ApproximateCreationDateTime": at, "NewImage": image}}], stream_arn="arn")
    change = json.loads(json.dumps(event))["Records"][0]["dynamodb"]
    assert change == {"ApproximateCreationDateTime": 1795168800.0, "NewImage": {"raw": {"B": "AP8="}}}
