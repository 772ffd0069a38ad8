"""Buckets, queue, tables and events: what AWS would enforce and moto does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from image_core.model import Status
from image_core.settings import LEASE_MARGIN_SECONDS
from image_stream.events import event_of
from local.options import CONTAINER_TIMING, LOCAL_TIMING
from local.template import with_timing
from tests.iam.resolved import resolved
from tests.unit.core.builders import record as image_record


def properties(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def named_uploads_bucket() -> dict[str, str]:
    return {"Fn::Sub": "${AWS::StackName}-uploads-${AWS::AccountId}-${AWS::Region}"}


# Buckets


@pytest.mark.parametrize("bucket", ["UploadsBucket", "ThumbnailsBucket"])
def test_nothing_in_a_bucket_can_become_public(resources, bucket):
    block = properties(resources, bucket)["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
    )
    (ownership,) = properties(resources, bucket)["OwnershipControls"]["Rules"]
    assert ownership == {"ObjectOwnership": "BucketOwnerEnforced"}


@pytest.mark.parametrize("bucket", ["UploadsBucket", "ThumbnailsBucket"])
def test_buckets_are_encrypted(bucket):
    (rule,) = resolved().resources("AWS::S3::Bucket")[bucket]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_originals_are_versioned_and_old_versions_expire(resources):
    uploads = properties(resources, "UploadsBucket")
    assert uploads["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in uploads["LifecycleConfiguration"]["Rules"]}
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    old = rules["old-versions"]
    assert old["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OriginalRetentionDays"}}
    assert "ExpirationInDays" not in old, "originals themselves never expire"
    assert rules["stale-multipart-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7


def test_every_creation_and_removal_of_an_original_reaches_the_queue(resources):
    configuration = properties(resources, "UploadsBucket")["NotificationConfiguration"]
    queue = {"Fn::GetAtt": ["Queue", "Arn"]}
    assert configuration == {
        "QueueConfigurations": [
            {"Event": "s3:ObjectCreated:*", "Queue": queue},
            {"Event": "s3:ObjectRemoved:*", "Queue": queue},
        ]
    }


def test_thumbnails_trigger_nothing(resources):
    assert "NotificationConfiguration" not in properties(resources, "ThumbnailsBucket")


# Queue


def test_only_the_uploads_bucket_of_this_account_may_send(resources):
    policy = properties(resources, "QueuePolicy")
    assert policy["Queues"] == [{"Ref": "Queue"}]
    (statement,) = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == {"Fn::GetAtt": ["Queue", "Arn"]}
    bucket = properties(resources, "UploadsBucket")["BucketName"]
    assert bucket == named_uploads_bucket()
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": "arn:${AWS::Partition}:s3:::" + bucket["Fn::Sub"]}},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }


def test_the_bucket_waits_for_the_policy_of_the_queue(resources):
    assert resources["UploadsBucket"]["DependsOn"] == "QueuePolicy"


@pytest.mark.parametrize("queue", ["Queue", "DeadLetterQueue"])
def test_queues_are_encrypted_with_a_key_that_s3_can_use(resources, queue):
    found = properties(resources, queue)
    assert found["SqsManagedSseEnabled"] is True
    assert "KmsMasterKeyId" not in found


def test_messages_that_keep_failing_go_to_the_dead_letters(resources):
    assert properties(resources, "Queue")["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
        "maxReceiveCount": {"Fn::FindInMap": ["Timing", "Processor", "MaxReceiveCount"]},
    }
    assert properties(resources, "DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_a_queue_takes_the_dead_letters_of_the_queues_of_this_stack_alone():
    """Any other queue of the account could name it as its own, and recovery would read what it sends."""
    queues = resolved().resources("AWS::SQS::Queue")
    sources: dict[str, list[str]] = {}
    for name, queue in queues.items():
        if "RedrivePolicy" in queue:
            sources.setdefault(queue["RedrivePolicy"]["deadLetterTargetArn"], []).append(resolved().arn(name))
    allowed = {resolved().arn(name): queue.get("RedriveAllowPolicy") for name, queue in queues.items()}
    assert {arn: policy for arn, policy in allowed.items() if arn in sources} == {
        arn: {"redrivePermission": "byQueue", "sourceQueueArns": arns} for arn, arns in sources.items()
    }
    assert len(sources) == 2
    assert allowed[resolved().arn("Queue")] == {"redrivePermission": "denyAll"}


@pytest.mark.parametrize("timing", [{}, LOCAL_TIMING, CONTAINER_TIMING], ids=["AWS", "local", "containers"])
def test_a_message_stays_hidden_for_longer_than_a_worker_can_hold_its_image(sam, timing):
    times = with_timing(sam, timing)["Mappings"]["Timing"]
    lease = times["Processor"]["Timeout"] + LEASE_MARGIN_SECONDS
    assert times["Processor"]["VisibilityTimeout"] > lease
    assert times["Processor"]["PendingTimeout"] >= lease
    assert times["Recovery"]["VisibilityTimeout"] >= times["Recovery"]["Timeout"], "Lambda requires it"
    assert times["Api"]["Timeout"] <= 30, "API Gateway does not wait longer"


def test_a_message_stays_hidden_for_as_long_as_aws_advises(sam):
    times = sam["Mappings"]["Timing"]
    for name in ("Processor", "Recovery"):
        assert times[name]["VisibilityTimeout"] >= 6 * times[name]["Timeout"]
    assert times["Processor"]["MaxReceiveCount"] >= 5


# Tables


def keys(schema: list[dict[str, str]]) -> dict[str, str]:
    return {key["KeyType"]: key["AttributeName"] for key in schema}


def test_the_images_table_has_the_keys_that_records_uses(resources):
    table = properties(resources, "ImagesTable")
    assert keys(table["KeySchema"]) == {"HASH": "image_id"}
    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    assert keys(indexes["by_created"]["KeySchema"]) == {"HASH": "listed", "RANGE": "created_order"}
    assert keys(indexes["by_status"]["KeySchema"]) == {"HASH": "status", "RANGE": "status_order"}
    assert {index["Projection"]["ProjectionType"] for index in indexes.values()} == {"KEYS_ONLY"}
    assert {a["AttributeType"] for a in table["AttributeDefinitions"]} == {"S"}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_the_statistics_table_has_a_partition_of_shards(resources):
    table = properties(resources, "StatsTable")
    assert keys(table["KeySchema"]) == {"HASH": "name", "RANGE": "shard"}
    types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
    assert types == {"name": "S", "shard": "N"}


# Events about images

STATUSES = [None, "reserved", "pending", "processing", "success", "failed", "deleting"]


def change(old: str | None, new: str | None) -> dict[str, Any]:
    """A record of the table's stream, statuses None where there is no image."""
    images = {"OldImage": old, "NewImage": new}
    dynamodb: dict[str, Any] = {"Keys": {"image_id": {"S": "img_1"}}}
    dynamodb |= {
        name: {"image_id": {"S": "img_1"}, "status": {"S": status}} for name, status in images.items() if status
    }
    name = "MODIFY" if old and new else "INSERT" if new else "REMOVE"
    return {"eventName": name, "eventSource": "aws:dynamodb", "dynamodb": dynamodb}


@pytest.mark.parametrize("old", STATUSES)
@pytest.mark.parametrize("new", STATUSES)
def test_every_change_that_causes_an_event_passes_the_filter(resources, old, new):
    mapping = properties(resources, "StreamFunctionChanges")
    patterns = [EventPattern.load(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"]]
    passes = any(pattern.matches_event(change(old, new)) for pattern in patterns)
    before, after = (image_record(status=Status(status)) if status else None for status in (old, new))
    causes = event_of(before, after, written_ms=0, api_url="") is not None
    assert passes or not causes
    assert not passes or new in ("success", "failed", "deleting", None)


def test_the_stream_function_gets_failed_records_again_until_they_go_to_the_queue_that_is_watched(resources):
    mapping = properties(resources, "StreamFunctionChanges")
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["ImagesTable", "StreamArn"]}
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == -1
    assert 3600 <= mapping["MaximumRecordAgeInSeconds"] < 24 * 3600, "DynamoDB keeps records for 24 hours"
    queue = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert queue == {"Fn::GetAtt": ["StreamFailureQueue", "Arn"]}


def test_the_stream_has_no_more_readers_than_dynamodb_allows(resources):
    stream = json.dumps({"Fn::GetAtt": ["ImagesTable", "StreamArn"]})
    mappings = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
    assert len([mapping for mapping in mappings if stream in json.dumps(mapping)]) <= 2
