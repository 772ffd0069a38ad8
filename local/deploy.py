"""Create the resources of template.yaml in an emulator, with the services' own API calls.

The emulator's CloudFormation is not used: moto's ignores many properties, and needs additional libraries.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local import secrets
from local.resolve import ResolvedTemplate
from local.template import Template

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

STACK_NAME = "image-pipeline"

_CREATED = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"}
_SECRET_OUTPUTS = {"ApiKeySecret": ("ApiKey", ""), "WebhookSecret": ("WebhookSecret", "whsec_")}
"""The name of the output with the value of a secret, and the prefix that the value is shown with."""
_QUEUE_ATTRIBUTES = {
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
}


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function of the template. `environment` has the variables that Lambda would set."""

    handler: str
    timeout_seconds: float
    memory_megabytes: int
    environment: Mapping[str, str]


@dataclass(frozen=True)
class EventSource:
    """An SQS event source mapping of the template."""

    function: str
    queue_url: str
    queue_arn: str
    batch_size: int
    reports_item_failures: bool


@dataclass(frozen=True)
class StreamSource:
    """The event source mapping of a table's stream."""

    function: str
    stream_arn: str
    batch_size: int


@dataclass(frozen=True)
class Deployment:
    """The deployed stack: functions by logical id, names by output."""

    functions: Mapping[str, FunctionConfiguration]
    event_sources: tuple[EventSource, ...]
    stream_sources: tuple[StreamSource, ...]
    scheduled_functions: tuple[str, ...]
    outputs: Mapping[str, str]
    region: str
    account: str


def deploy(
    template: Template,
    parameters: Mapping[str, str],
    *,
    session: Session,
    endpoint_url: str,
    api_url: str = "",
    secret_values: Mapping[str, str] | None = None,
) -> Deployment:
    """Create the resources that do not exist yet, and return the stack. `api_url` is the URL of the API.

    `secret_values` has the values of secrets by logical id. Others are generated.
    """

    def client(service: Any) -> Any:
        return session.client(service, endpoint_url=endpoint_url)

    refs: dict[str, str] = {}
    stack = ResolvedTemplate(
        parameters,
        region=session.region_name,
        account=client("sts").get_caller_identity()["Account"],
        stack=STACK_NAME,
        template=template,
        refs=refs,
    )
    outputs: dict[str, str] = {}
    for logical_id, properties in stack.resources("AWS::SecretsManager::Secret").items():
        refs[logical_id], value = secrets.make(
            client("secretsmanager"),
            f"{STACK_NAME}-{logical_id}",
            properties,
            (secret_values or {}).get(logical_id),
        )
        name, prefix = _SECRET_OUTPUTS[logical_id]
        outputs[name] = prefix + value.removeprefix(prefix)
    sqs, s3, dynamodb = client("sqs"), client("s3"), client("dynamodb")
    refs |= _create_queues(sqs, stack)
    _create_rules(client("events"), stack)
    for logical_id, properties in stack.resources("AWS::DynamoDB::Table").items():
        _create_table(dynamodb, stack.name(logical_id), properties)
    for bucket in stack.resources("AWS::S3::Bucket").values():
        _create_bucket(s3, bucket, region=session.region_name)
    outputs |= {
        name: str(stack.value(output["Value"]))
        for name, output in stack.template["Outputs"].items()
        if not _refers_to(output["Value"], _absent(stack))
    }
    mappings = stack.resources("AWS::Lambda::EventSourceMapping")
    return Deployment(
        functions={
            name: FunctionConfiguration(
                handler=function.get("Handler") or function["ImageConfig"]["Command"][0],
                timeout_seconds=float(function["Timeout"]),
                memory_megabytes=int(function["MemorySize"]),
                environment={
                    key: api_url if key == "API_URL" else str(value)
                    for key, value in function["Environment"]["Variables"].items()
                },
            )
            for name, function in stack.resources("AWS::Lambda::Function").items()
        },
        event_sources=tuple(
            EventSource(
                function=stack.template["Resources"][name]["Properties"]["FunctionName"]["Ref"],
                queue_url=_queue_url(sqs, mapping["EventSourceArn"]),
                queue_arn=mapping["EventSourceArn"],
                batch_size=int(mapping["BatchSize"]),
                reports_item_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []),
            )
            for name, mapping in mappings.items()
            if ":sqs:" in mapping["EventSourceArn"]
        ),
        stream_sources=tuple(
            StreamSource(
                function=stack.template["Resources"][name]["Properties"]["FunctionName"]["Ref"],
                stream_arn=_stream_arn(dynamodb, mapping["EventSourceArn"]),
                batch_size=int(mapping["BatchSize"]),
            )
            for name, mapping in mappings.items()
            if ":dynamodb:" in mapping["EventSourceArn"]
        ),
        scheduled_functions=tuple(
            target["Arn"]["Fn::GetAtt"][0]
            for resource in stack.template["Resources"].values()
            if resource["Type"] == "AWS::Events::Rule" and "ScheduleExpression" in resource["Properties"]
            for target in resource["Properties"]["Targets"]
        ),
        outputs=outputs,
        region=session.region_name,
        account=stack.account,
    )


def table_arguments(properties: Template) -> dict[str, Any]:
    """The arguments of `create_table` for a table of the template, without its name."""
    arguments: dict[str, Any] = {
        key: properties[key]
        for key in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        if key in properties
    }
    if stream := properties.get("StreamSpecification"):
        arguments["StreamSpecification"] = {"StreamEnabled": True, **stream}
    return arguments


def _create_table(dynamodb: DynamoDBClient, name: str, properties: Template) -> None:
    """Create the table, or add missing indexes to an existing one."""
    arguments = table_arguments(properties)
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(TableName=name, **arguments)
        return
    existing = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])}
    for index in arguments.get("GlobalSecondaryIndexes", []):
        if index["IndexName"] not in existing:
            dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=arguments["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )


def _create_queues(sqs: SQSClient, stack: ResolvedTemplate) -> dict[str, str]:
    """Create the queues and return their URLs by logical id. Redrive policies come last: they name another
    queue."""
    queues = stack.resources("AWS::SQS::Queue")
    urls = {name: sqs.create_queue(QueueName=stack.name(name))["QueueUrl"] for name in queues}
    for name, properties in queues.items():
        attributes: Any = {
            key: json.dumps(value) if isinstance(value, dict) else str(value)
            for key, value in properties.items()
            if key in _QUEUE_ATTRIBUTES
        }
        sqs.set_queue_attributes(QueueUrl=urls[name], Attributes=attributes)
    for policy in stack.resources("AWS::SQS::QueuePolicy").values():
        for queue in policy["Queues"]:
            sqs.set_queue_attributes(
                QueueUrl=_queue_url(sqs, queue), Attributes={"Policy": json.dumps(policy["PolicyDocument"])}
            )
    return urls


def _create_rules(events: Any, stack: ResolvedTemplate) -> None:
    """Create the rules that send events to queues, and their event bus."""
    for logical_id, rule in stack.resources("AWS::Events::Rule").items():
        if "EventPattern" not in rule:
            continue  # a schedule, which local/schedule.py runs
        bus, name = rule["EventBusName"], stack.name(logical_id)
        with contextlib.suppress(events.exceptions.ResourceAlreadyExistsException):
            events.create_event_bus(Name=bus)
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(rule["EventPattern"]))
        targets = [{"Id": target["Id"], "Arn": target["Arn"]} for target in rule["Targets"]]
        events.put_targets(Rule=name, EventBusName=bus, Targets=targets)


def _refers_to(value: Any, names: Iterable[str]) -> bool:
    """Whether an unresolved expression in `value` refers to one of these resources."""
    text = json.dumps(value)
    return any(f'"{name}"' in text or f"${{{name}" in text for name in names)


def _absent(stack: ResolvedTemplate) -> list[str]:
    """The logical ids of resources that are not created here."""
    resources: Template = stack.template["Resources"]
    return [name for name, resource in resources.items() if resource["Type"] not in _CREATED]


def _queue_url(sqs: SQSClient, arn_or_url: str) -> str:
    return sqs.get_queue_url(QueueName=arn_or_url.replace("/", ":").rsplit(":", 1)[1])["QueueUrl"]


def _stream_arn(dynamodb: DynamoDBClient, arn: str) -> str:
    """The ARN of a table's current stream. `arn` is one of its streams."""
    table = arn.partition(":table/")[2].partition("/")[0]
    return dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]


def _create_bucket(s3: S3Client, bucket: Template, *, region: str) -> None:
    """Create the bucket, or update an existing one."""
    name = bucket["BucketName"]
    elsewhere: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=name, **({} if region == "us-east-1" else elsewhere))
    if versioning := bucket.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    if lifecycle := bucket.get("LifecycleConfiguration"):
        rules: Any = [_lifecycle_rule(rule) for rule in lifecycle["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    if notifications := bucket.get("NotificationConfiguration"):
        queues: Any = [
            {"QueueArn": entry["Queue"], "Events": [entry["Event"]]}
            for entry in notifications["QueueConfigurations"]
        ]
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"QueueConfigurations": queues}
        )


def _lifecycle_rule(rule: Template) -> dict[str, Any]:
    """Convert a lifecycle rule from CloudFormation's format to S3's."""
    api: dict[str, Any] = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if rule.get("ExpiredObjectDeleteMarker"):
        api["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if noncurrent := rule.get("NoncurrentVersionExpiration"):
        api["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(noncurrent["NoncurrentDays"])}
    if stale := rule.get("AbortIncompleteMultipartUpload"):
        api["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(stale["DaysAfterInitiation"])}
    return api
