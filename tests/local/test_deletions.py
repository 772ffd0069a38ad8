"""ObjectRemoved events, which moto does not send for a versioned bucket."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from urllib.parse import unquote_plus

import pytest

KEYS = ["plain.jpg", "some folder/my photo+1 é.jpg", "100%20sure/a%2Bb", "😀"]


@pytest.fixture
def bucket(s3: Any, make_queue: Any) -> tuple[str, str]:
    """The name of a versioned bucket, and the URL of the queue that it notifies."""
    url, arn = make_queue()
    name = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": events}]}
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=configuration)
    return name, url


def received(sqs: Any, url: str) -> list[dict[str, Any]]:
    """Receive and delete all S3 records in the queue."""
    records = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            records += json.loads(message["Body"]).get("Records", [])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return records


def removals(sqs: Any, url: str) -> list[tuple[str, str]]:
    return [
        (record["eventName"], unquote_plus(record["s3"]["object"]["key"]))
        for record in received(sqs, url)
        if record["eventName"].startswith("ObjectRemoved")
    ]


@pytest.mark.parametrize("key", KEYS)
def test_deleting_an_object_sends_an_event(s3, sqs, bucket, key):
    name, url = bucket
    s3.put_object(Bucket=name, Key=key, Body=b"x")
    s3.delete_object(Bucket=name, Key=key)
    assert removals(sqs, url) == [("ObjectRemoved:DeleteMarkerCreated", key)]


def test_deleting_a_batch_sends_an_event_for_each_key(s3, sqs, bucket):
    name, url = bucket
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in KEYS]})
    assert sorted(removals(sqs, url)) == sorted(("ObjectRemoved:DeleteMarkerCreated", key) for key in KEYS)


def test_deleting_an_old_version_sends_its_own_kind_of_event(s3, sqs, bucket):
    name, url = bucket
    old = s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=name, Key="k", Body=b"2")
    s3.delete_object(Bucket=name, Key="k", VersionId=old)
    assert removals(sqs, url) == [("ObjectRemoved:Delete", "k")]


def test_emptying_the_bucket_version_by_version_works(s3, sqs, bucket):
    name, url = bucket
    version = s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
    received(sqs, url)
    s3.delete_object(Bucket=name, Key="k", VersionId=version)
    s3.delete_object(Bucket=name, Key="k", VersionId=marker)
    assert removals(sqs, url) == [("ObjectRemoved:Delete", "k")] * 2


def test_the_event_has_s3s_format(s3, sqs, bucket):
    name, url = bucket
    s3.put_object(Bucket=name, Key="a folder/é.jpg", Body=b"x")
    marker = s3.delete_object(Bucket=name, Key="a folder/é.jpg")["VersionId"]
    record = received(sqs, url)[-1]
    assert (record["eventSource"], record["awsRegion"]) == ("aws:s3", "us-east-1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["eventTime"])
    assert record["s3"]["bucket"]["name"] == name
    assert record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{name}"
    found = record["s3"]["object"]
    assert found["key"] == "a+folder/%C3%A9.jpg"
    assert found["versionId"] == marker
    assert re.fullmatch(r"[0-9A-F]{18}", found["sequencer"])
    assert "size" not in found


def test_a_refused_deletion_sends_no_event(s3, sqs, bucket):
    name, url = bucket
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    with pytest.raises(s3.exceptions.ClientError):
        s3.delete_object(Bucket=name, Key="k", IfMatch='"00000000000000000000000000000000"')
    assert removals(sqs, url) == []


def test_deleting_tags_or_aborting_an_upload_sends_no_event(s3, sqs, bucket):
    name, url = bucket
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    s3.delete_object_tagging(Bucket=name, Key="k")
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=name, Key="k", UploadId=upload)
    assert removals(sqs, url) == []


def test_a_bucket_without_versioning_is_left_to_moto(s3, sqs, make_queue):
    url, arn = make_queue()
    name = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=configuration)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    s3.delete_object(Bucket=name, Key="k")
    assert removals(sqs, url) == [("ObjectRemoved:Delete", "k")]
