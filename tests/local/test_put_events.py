"""`PutEvents` of the local stack: events become log lines, and nothing else of EventBridge is offered."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import logs, put_events
from tests.ministack import ministack, needs_ministack

ENTRY = {"Source": "image-pipeline", "EventBusName": "bus", "DetailType": "ImageProcessed"}
DETAIL = {"image_id": "img_1", "caption": "a lake\n12:00:00 api all is well", "error": None}


@pytest.fixture(params=["moto", pytest.param("ministack", marks=needs_ministack)])
def events(request: pytest.FixtureRequest, session: boto3.Session) -> Iterator[Any]:
    """A client of an emulator as `python -m local` runs it."""
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
        events.put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:1:q"}])
    with pytest.raises(ClientError, match="1 to 10 entries"):
        events.put_events(Entries=[{**ENTRY, "Detail": "{}"}] * 11)


def test_an_event_is_one_log_line_with_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"image_id": "img_2", "caption": None, "error": {"code": "corrupt_image", "message": "…"}}
    entries = [
        {**ENTRY, "Detail": json.dumps(DETAIL)},
        {**ENTRY, "DetailType": "ImageFailed", "Detail": json.dumps(failed)},
    ]
    put_events.respond("AWSEvents.PutEvents", json.dumps({"Entries": entries}).encode())
    logs.copy("aws", io.BytesIO(capsys.readouterr().err.encode()))
    lines = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "events     ImageProcessed image_id=img_1 caption=a lake\\n12:00:00 api all is well",
        "events     ImageFailed image_id=img_2 error=corrupt_image",
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Entries": 1}', b'{"Entries": [1]}', b'{"Entries": [{}]}'])
def test_a_malformed_request_is_refused(body: bytes) -> None:
    assert put_events.respond("AWSEvents.PutEvents", body)[0] == 400
