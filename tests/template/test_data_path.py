"""Buckets, queue, tables and events: rules that AWS enforces and moto does not."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from image_core.model import Record, Status
from image_core.settings import LEASE_MARGIN_SECONDS
from image_core.stores.clients import CONNECT_SECONDS, READ_SECONDS, TRIES
from image_core.stores.events import SOURCE
from image_core.stores.items import to_item
from image_core.stores.search_items import changes
from image_stream.events import event_of
from image_webhooks.handler import RESPONSE_SECONDS
from local.options import CONTAINER_TIMING, LOCAL_TIMING
from local.template import with_timing
from tests.iam.resolved import ACCOUNT, resolved, with_webhooks
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


def test_originals_are_versioned_and_old_versions_expire(resources):
    uploads = properties(resources, "UploadsBucket")
    assert uploads["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in uploads["LifecycleConfiguration"]["Rules"]}
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    old = rules["old-versions"]
    assert old["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OriginalRetentionDays"}}
    assert "ExpirationInDays" not in old, "current originals never expire"
    assert rules["stale-multipart-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7


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


def test_the_bucket_is_created_after_the_queues_policy(resources):
    assert resources["UploadsBucket"]["DependsOn"] == "QueuePolicy"


def test_a_dead_letter_queue_accepts_only_the_queues_of_this_stack():
    """Otherwise any queue in the account could use it, and recovery would read that queue's messages."""
    stack = with_webhooks()
    queues = stack.resources("AWS::SQS::Queue")
    sources: dict[str, list[str]] = {}
    for name, queue in queues.items():
        if "RedrivePolicy" in queue:
            sources.setdefault(queue["RedrivePolicy"]["deadLetterTargetArn"], []).append(stack.arn(name))
    allowed = {stack.arn(name): queue.get("RedriveAllowPolicy") for name, queue in queues.items()}
    assert {arn: policy for arn, policy in allowed.items() if arn in sources} == {
        arn: {"redrivePermission": "byQueue", "sourceQueueArns": arns} for arn, arns in sources.items()
    }
    assert len(sources) == 3
    assert {queue for queue, policy in allowed.items() if policy == {"redrivePermission": "denyAll"}} == {
        stack.arn(name) for name in ("Queue", "StreamFailureQueue", "WebhooksQueue")
    }


@pytest.mark.parametrize("timing", [{}, LOCAL_TIMING, CONTAINER_TIMING], ids=["AWS", "local", "containers"])
def test_a_message_stays_hidden_for_longer_than_a_worker_can_hold_its_image(sam, timing):
    times = with_timing(sam, timing)["Mappings"]["Timing"]
    lease = times["Processor"]["Timeout"] + LEASE_MARGIN_SECONDS
    assert times["Processor"]["VisibilityTimeout"] > lease
    assert times["Processor"]["PendingTimeout"] >= lease
    assert times["Recovery"]["VisibilityTimeout"] >= times["Recovery"]["Timeout"], "Lambda requires it"
    assert times["Api"]["Timeout"] <= 30, "API Gateway does not wait any longer"


def test_a_message_stays_hidden_for_the_time_that_aws_recommends(sam):
    times = sam["Mappings"]["Timing"]
    for name in ("Processor", "Recovery", "Webhooks"):
        assert times[name]["VisibilityTimeout"] >= 6 * times[name]["Timeout"]
    assert times["Processor"]["MaxReceiveCount"] >= 5


# Events about images, and the search index

STATUSES = [None, "reserved", "pending", "processing", "success", "failed", "deleting"]


def change(old: Record | None, new: Record | None) -> dict[str, Any]:
    """Build a record of the table's stream. A record of None does not exist."""
    images = {"OldImage": old, "NewImage": new}
    dynamodb: dict[str, Any] = {"Keys": {"image_id": {"S": "img_1"}}}
    dynamodb |= {name: to_item(record) for name, record in images.items() if record}
    name = "MODIFY" if old and new else "INSERT" if new else "REMOVE"
    return {"eventName": name, "eventSource": "aws:dynamodb", "dynamodb": dynamodb}


def record_with(status: str | None, *, was_processed: bool) -> Record | None:
    if status is None:
        return None
    processed_ms = 5 if was_processed or status in ("success", "failed") else None
    return image_record(status=Status(status), title=f"title {status}", processed_ms=processed_ms)


@pytest.mark.parametrize("was_processed", [False, True])
def test_every_change_that_causes_an_event_or_changes_the_search_index_passes_the_filter(resources, was_processed):
    mapping = properties(resources, "StreamFunctionChanges")
    patterns = [EventPattern.load(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"]]
    for old, new in itertools.product(STATUSES, repeat=2):
        before = record_with(old, was_processed=was_processed)
        after = record_with(new, was_processed=was_processed and old is not None)
        passes = any(pattern.matches_event(change(before, after)) for pattern in patterns)
        causes_event = event_of(before, after, written_ms=0, api_url="") is not None
        assert passes or not (causes_event or changes(before, after)), (old, new)
        if not was_processed and old not in ("success", "failed"):
            assert not passes or new in ("success", "failed", "deleting", None), (old, new)


# Webhooks


def test_only_the_rule_of_this_stack_may_send_webhooks_to_their_queues() -> None:
    stack = with_webhooks()
    (policy,) = [
        one
        for one in stack.resources("AWS::SQS::QueuePolicy").values()
        if stack.value({"Ref": "WebhooksQueue"}) in one["Queues"]
    ]
    assert set(policy["Queues"]) == {
        stack.value({"Ref": f"Webhooks{name}"}) for name in ("Queue", "DeadLetterQueue")
    }
    (statement,) = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": stack.arn("WebhooksRule")}}
    assert f":{ACCOUNT}:" in stack.arn("WebhooksRule")


def test_events_that_eventbridge_cannot_send_are_dead_letters_too() -> None:
    stack = with_webhooks()
    rule = stack.resources("AWS::Events::Rule")["WebhooksRule"]
    assert rule["EventBusName"] == stack.name("EventBus")
    (target,) = rule["Targets"]
    assert target["Arn"] == stack.arn("WebhooksQueue")
    assert target["DeadLetterConfig"] == {"Arn": stack.arn("WebhooksDeadLetterQueue")}
    assert rule["EventPattern"]["source"] == [SOURCE]


def test_a_webhook_outlives_its_attempts(sam) -> None:
    queues = with_webhooks().resources("AWS::SQS::Queue")
    for name in ("WebhooksQueue", "WebhooksDeadLetterQueue"):
        assert queues[name]["MessageRetentionPeriod"] == 14 * 24 * 3600
    # Every AWS call of a batch may take its longest time before the function itself times out.
    assert sam["Mappings"]["Timing"]["Webhooks"]["Timeout"] > RESPONSE_SECONDS + TRIES * (
        CONNECT_SECONDS + READ_SECONDS
    )


def test_without_a_url_there_is_nothing_of_webhooks() -> None:
    stack = resolved()
    names = [name for name in stack.template["Resources"] if name.startswith("Webhook")]
    assert len(names) >= 9
    assert [name for name in names if stack.exists(name)] == []


def test_a_slow_receiver_leaves_the_executions_of_the_account_to_images(resources) -> None:
    mapping = properties(resources, "WebhooksFunctionWebhooks")
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}, "the smallest number that Lambda accepts"
    assert mapping["BatchSize"] == 10


def test_failed_items_of_a_batch_are_delivered_again(resources):
    """Each handler returns the failed messages. Without this setting Lambda would delete them."""
    mappings = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
    assert len(mappings) == 4
    assert all(mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for mapping in mappings)


def test_the_stream_has_no_more_readers_than_dynamodb_allows(resources):
    stream = json.dumps({"Fn::GetAtt": ["ImagesTable", "StreamArn"]})
    mappings = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
    assert len([mapping for mapping in mappings if stream in json.dumps(mapping)]) <= 2
