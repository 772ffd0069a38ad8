"""Messages: S3's notifications and the pipeline's own messages. Each key is decoded exactly once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_core.stores.queue import (
    ObjectEvent,
    Queue,
    UnknownMessage,
    notification_of,
    parse_message,
    parse_notification,
)
from tests.events import load

ODD_KEYS = {
    "s3_put.json": "photo.jpg",
    "s3_put_space_plus_e_acute.json": "some folder/my photo+1 é.jpg",
    "s3_put_percent.json": "100% sure%20thing.jpg",
    "s3_put_emoji.json": "flowers/\U0001f33b sunflower",
    "s3_delete_marker.json": "some folder/my photo+1 é.jpg",
}


@pytest.mark.parametrize("name", ODD_KEYS)
def test_the_key_in_a_notification_of_s3_is_decoded_exactly_once(name: str) -> None:
    (event,) = parse_notification(load(name))
    assert event.key == ODD_KEYS[name]
    assert event.bucket == "image-pipeline-uploads-123456789012-eu-west-1"


def test_a_notifications_etag_is_kept_and_a_deletion_has_no_etag() -> None:
    (put,) = parse_notification(load("s3_put.json"))
    (deletion,) = parse_notification(load("s3_delete_marker.json"))
    assert put.etag == "d41d8cd98f00b204e9800998ecf8427e"
    assert deletion.etag is None


@pytest.mark.parametrize("version", ["2.1", "2.6", "3.0"])
def test_the_version_of_the_notification_does_not_matter(version: str) -> None:
    notification = load("s3_put.json")
    notification["Records"][0]["eventVersion"] = version
    assert [event.key for event in parse_notification(notification)] == ["photo.jpg"]


def test_all_records_of_a_notification_are_handled() -> None:
    notification = load("s3_put.json")
    notification["Records"] += load("s3_put_emoji.json")["Records"]
    assert len(parse_notification(notification)) == 2


def test_s3s_test_event_has_no_key() -> None:
    assert parse_notification(load("s3_test_event.json")) == []
    assert parse_message(json.dumps(load("s3_test_event.json"))) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"Records": null}',
        '{"Records": 5}',
        '{"Records": [null]}',
        '{"Records": [{"s3": {}}]}',
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": 5}}}]}',
        '{"Records": [{"body": "{}", "eventSource": "aws:sqs"}]}',
    ],
)
def test_an_invalid_notification_is_an_unknown_message(body: str) -> None:
    with pytest.raises(UnknownMessage):
        parse_message(body)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_pipelines_own_message_encodes_the_key_as_s3_does(key: str) -> None:
    body = json.dumps(notification_of(ObjectEvent("bucket", key)))
    assert parse_message(body) == [ObjectEvent("bucket", key)]


class FakeSqs:
    """Records its requests."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def change_message_visibility(self, **request: Any) -> None:
        self.asked.append(request)


@pytest.mark.parametrize(
    ("seconds", "visibility"),
    [(0.0, 1), (0.2, 1), (41.5, 42), (100_000.0, 43_200)],
)
def test_a_message_is_hidden_at_least_for_the_delay_and_at_most_for_twelve_hours(
    seconds: float, visibility: int
) -> None:
    sqs = FakeSqs()
    Queue(sqs, "https://queue").retry_in("receipt", seconds)  # type: ignore[arg-type]
    assert sqs.asked == [{"QueueUrl": "https://queue", "ReceiptHandle": "receipt", "VisibilityTimeout": visibility}]
