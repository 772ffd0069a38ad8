"""EventBridge of the local stack: events become log lines and messages of queues, and nothing else is offered."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import logs
from local.event_bridge import EventBridge
from tests.ministack import ministack, needs_ministack

ENTRY = {"Source": "image-pipeline", "EventBusName": "bus", "DetailType": "ImageProcessed"}
DETAIL = {"image_id": "img_1", "caption": "a lake\n12:00:00 api all is well", "error": None}


def nothing(_queue_arn: str, _message: str) -> None:
    """There are no queues."""


@pytest.fixture(params=["moto", pytest.param("ministack", marks=needs_ministack)])
def events(request: pytest.FixtureRequest, session: boto3.Session) -> Iterator[Any]:
    """A client of EventBridge in an emulator as `python -m local` runs it."""
    if request.param == "moto":
        yield session.client("events", endpoint_url=request.getfixturevalue("aws_url"))
    else:
        with ministack() as url:
            yield session.client("events", endpoint_url=url)


def test_an_sdk_can_send_events_and_nothing_more(events: Any) -> None:
    response = events.put_events(
        Entries=[{**ENTRY, "Detail": json.dumps(DETAIL)}, {**ENTRY, "Detail": "no JSON"}, {**ENTRY, "Detail": "[]"}]
    )
    assert response["FailedEntryCount"] == 2
    assert ["ErrorCode" in entry for entry in response["Entries"]] == [False, True, True]
    with pytest.raises(ClientError, match="does not offer this part of AWS"):
        events.delete_rule(Name="rule")
    with pytest.raises(ClientError, match="1 to 10 entries"):
        events.put_events(Entries=[{**ENTRY, "Detail": "{}"}] * 11)


def test_an_event_is_one_log_line_with_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"image_id": "img_2", "caption": None, "error": {"code": "corrupt_image", "message": "…"}}
    entries = [
        {**ENTRY, "Detail": json.dumps(DETAIL)},
        {**ENTRY, "DetailType": "ImageFailed", "Detail": json.dumps(failed)},
    ]
    EventBridge(nothing).respond("AWSEvents.PutEvents", json.dumps({"Entries": entries}).encode())
    logs.copy("aws", io.BytesIO(capsys.readouterr().err.encode()))
    lines = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "events     ImageProcessed image_id=img_1 caption=a lake\\n12:00:00 api all is well",
        "events     ImageFailed image_id=img_2 error=corrupt_image",
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Entries": 1}', b'{"Entries": [1]}', b'{"Entries": [{}]}'])
def test_a_malformed_request_is_refused(body: bytes) -> None:
    assert EventBridge(nothing).respond("AWSEvents.PutEvents", body)[0] == 400


def test_a_rule_sends_the_events_of_its_bus_that_match_to_its_queue(events: Any, session: boto3.Session) -> None:
    sqs = session.client("sqs", endpoint_url=events.meta.endpoint_url)
    url = sqs.create_queue(QueueName="webhooks")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name="bus")
    pattern = {"source": ["image-pipeline"], "detail-type": ["ImageProcessed", "ImageFailed"]}
    for _ in range(2):  # as at each start of the stack
        events.put_rule(Name="rule", EventBusName="bus", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="rule", EventBusName="bus", Targets=[{"Id": "1", "Arn": arn}])
    detail = json.dumps(DETAIL)
    entry = {**ENTRY, "Detail": detail, "Time": datetime(2026, 11, 20, 10, 0, 2, tzinfo=UTC)}
    others = [{"Source": "other"}, {"DetailType": "ImageDeleted"}, {"EventBusName": "other"}, {"Detail": "no JSON"}]
    events.put_events(Entries=[entry, *({**entry, **other} for other in others)])
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    (event,) = [json.loads(message["Body"]) for message in received]
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "ImageProcessed",
        "source": "image-pipeline",
        "account": arn.split(":")[4],
        "time": "2026-11-20T10:00:02Z",
        "region": "us-east-1",
        "resources": [],
        "detail": DETAIL,
    }


def test_a_rule_cannot_send_anywhere_else(events: Any) -> None:
    events.put_rule(Name="rule", EventBusName="bus", EventPattern='{"source": ["image-pipeline"]}')
    with pytest.raises(ClientError, match="can only send to queues"):
        events.put_targets(
            Rule="rule",
            EventBusName="bus",
            Targets=[{"Id": "1", "Arn": "arn:aws:events:us-east-1:1:api-destination/x"}],
        )
    with pytest.raises(ClientError, match="can only compare"):
        events.put_rule(Name="rule", EventBusName="bus", EventPattern='{"detail": {"status": ["failed"]}}')
    missing = {"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:missing"}
    events.put_targets(Rule="rule", EventBusName="bus", Targets=[missing])
    assert events.put_events(Entries=[{**ENTRY, "Detail": "{}"}])["FailedEntryCount"] == 0
