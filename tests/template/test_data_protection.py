"""Protection of data against loss, unauthorized reading and eavesdropping, with every option on and off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.iam.policies import as_list, denies
from tests.iam.resolved import resolved, with_webhooks
from tests.template.conftest import EVERYTHING_ON

BUCKETS = ["UploadsBucket", "ThumbnailsBucket"]
TABLES = ["ImagesTable", "StatsTable"]
KEY = EVERYTHING_ON["KmsKeyArn"]


def buckets(**chosen: str) -> dict[str, dict[str, Any]]:
    return resolved(**chosen).resources("AWS::S3::Bucket")


def tables(**chosen: str) -> dict[str, dict[str, Any]]:
    return resolved(**chosen).resources("AWS::DynamoDB::Table")


# In transit


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
def test_a_bucket_refuses_calls_without_tls(bucket, action):
    stack = resolved()
    policies = stack.resources("AWS::S3::BucketPolicy").values()
    statements = [
        s for p in policies if p["Bucket"] == stack.name(bucket) for s in p["PolicyDocument"]["Statement"]
    ]
    resource = stack.arn(bucket) + ("" if action == "s3:ListBucket" else "/uploads/img_1/a.jpg")
    assert all(s["Principal"] == "*" for s in statements if s["Effect"] == "Deny")
    assert denies(statements, action, resource, {"aws:SecureTransport": "false"})
    assert not denies(statements, action, resource, {"aws:SecureTransport": "true"})


@pytest.mark.parametrize("queue", sorted(with_webhooks().resources("AWS::SQS::Queue")))
@pytest.mark.parametrize("action", ["sqs:SendMessage", "sqs:ReceiveMessage"])
def test_a_queue_refuses_calls_without_tls(queue, action):
    stack = with_webhooks()
    url = stack.value({"Ref": queue})
    policies = stack.resources("AWS::SQS::QueuePolicy").values()
    statements = [s for p in policies if url in p["Queues"] for s in p["PolicyDocument"]["Statement"]]
    assert denies(statements, action, stack.arn(queue), {"aws:SecureTransport": "false"})
    assert not denies(statements, action, stack.arn(queue), {"aws:SecureTransport": "true"})


# At rest


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_encrypted_with_the_customers_key_if_there_is_one(bucket):
    (rule,) = buckets(KmsKeyArn=KEY)[bucket]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert rule["BucketKeyEnabled"] is True, "otherwise every thumbnail would cost a call to KMS"


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_encrypted_with_the_customers_key_if_there_is_one(table):
    assert tables(KmsKeyArn=KEY)[table]["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": KEY,
    }
    assert "SSESpecification" not in tables()[table], (
        "the default is DynamoDB's own key, so data are encrypted anyway"
    )


@pytest.mark.parametrize("queue", sorted(with_webhooks().resources("AWS::SQS::Queue")))
def test_every_queue_is_encrypted_by_sqs_with_or_without_a_customers_key(queue):
    found = resolved(**EVERYTHING_ON).resources("AWS::SQS::Queue")[queue]
    assert found["SqsManagedSseEnabled"] is True
    assert "KmsMasterKeyId" not in found, "S3 could not send messages to it"


def test_the_access_log_contains_nothing_that_a_caller_can_write_freely(resources):
    """API Gateway does not escape values in the log, so a forged path would forge a line."""
    stage = resources["HttpApiApiGatewayDefaultStage"]["Properties"]
    free = (
        "$context.path",
        "$context.identity.userAgent",
        "$context.domain",
        "$context.authorizer",
        "$context.protocol",
    )
    line = stage["AccessLogSettings"]["Format"]
    assert "\n" not in line
    assert not [name for name in free if name in line]
    assert "$context.requestId" in line and "$context.integration.requestId" in line


def test_every_log_has_the_configured_retention(resources):
    groups = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) >= 4
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)


@pytest.mark.parametrize("bucket", BUCKETS)
def test_server_access_logs_go_to_the_configured_bucket(bucket):
    assert "LoggingConfiguration" not in buckets()[bucket]
    logging = buckets(S3AccessLogBucket="my-access-logs")[bucket]["LoggingConfiguration"]
    assert logging["DestinationBucketName"] == "my-access-logs"
    assert logging["LogFilePrefix"].startswith("image-pipeline/")


# Against loss


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_point_in_time_recovery(table):
    assert tables()[table]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("protect", "protected"), [("true", True), ("false", False)])
def test_a_protected_table_cannot_be_deleted(table, protect, protected):
    assert tables(ProtectData=protect)[table]["DeletionProtectionEnabled"] is protected


@pytest.mark.parametrize("resource", [*BUCKETS, *TABLES])
def test_data_are_retained_unless_the_creation_of_the_stack_failed(resource, resources):
    """Literals, because intrinsic functions there would need the transform AWS::LanguageExtensions."""
    assert resources[resource]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resources[resource]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("bucket", BUCKETS)
def test_incomplete_multipart_uploads_are_removed(bucket):
    rules = {rule["Id"]: rule for rule in buckets()[bucket]["LifecycleConfiguration"]["Rules"]}
    assert rules["stale-multipart-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules["stale-multipart-uploads"]["Status"] == "Enabled"


def test_delete_markers_are_removed_with_the_last_version_that_they_hide():
    rules = {rule["Id"]: rule for rule in buckets()["UploadsBucket"]["LifecycleConfiguration"]["Rules"]}
    assert rules["old-versions"]["ExpiredObjectDeleteMarker"] is True


# Pages of other origins


def rules(**chosen: str) -> dict[str, dict[str, Any]]:
    return {rule["Id"]: rule for rule in buckets(**chosen)["UploadsBucket"]["CorsConfiguration"]["CorsRules"]}


def test_by_default_only_the_gallery_can_send_files_to_the_bucket():
    (rule,) = rules().values()
    assert rule["AllowedOrigins"] == ["https://*.execute-api.eu-west-1.amazonaws.com"]
    assert {"PUT", "GET"} <= set(rule["AllowedMethods"]) <= {"GET", "HEAD", "PUT"}
    assert "ETag" in rule["ExposedHeaders"]


def test_pages_of_other_origins_can_send_files_if_configured():
    origins = rules(CorsOrigins="https://a.example,https://b.example")["other-pages"]["AllowedOrigins"]
    assert origins == ["https://a.example", "https://b.example"]


def test_no_page_can_access_the_thumbnails_bucket():
    assert "CorsConfiguration" not in buckets(**EVERYTHING_ON)["ThumbnailsBucket"]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_no_bucket_policy_allows_anything(bucket):
    for policy in resolved(**EVERYTHING_ON).resources("AWS::S3::BucketPolicy").values():
        assert {s["Effect"] for s in as_list(policy["PolicyDocument"]["Statement"])} == {"Deny"}
