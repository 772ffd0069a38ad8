"""Creating the resources of template.yaml at an emulator: by CloudFormation, and by the services' own calls where
moto's CloudFormation ignores a property.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import secrets
from local.resolve import ResolvedTemplate
from local.template import Template

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

STACK_NAME = "image-pipeline"

_CREATED = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName", "AWS::SQS::Queue": "QueueName"}
"""What the emulator gets, and the property that names it."""

# moto's CloudFormation ignores these, so they are set through S3's own API.
_BUCKET_PROPERTIES_SET_LATER = ("VersioningConfiguration", "NotificationConfiguration", "LifecycleConfiguration")


@dataclass(frozen=True)
class FunctionConfiguration:
    """A function of the template; `environment` as Lambda would set it."""

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
class Deployment:
    """The stack as it is now: functions by logical id, names by output."""

    functions: Mapping[str, FunctionConfiguration]
    event_sources: tuple[EventSource, ...]
    scheduled_functions: tuple[str, ...]
    outputs: Mapping[str, str]
    region: str


def deploy(template: Template, parameters: Mapping[str, str], *, session: Session, endpoint_url: str) -> Deployment:
    """Create the stack (or update it, at an endpoint that keeps its state) and return what it is."""

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
        refs[logical_id], value = secrets.make(client("secretsmanager"), f"{STACK_NAME}-{logical_id}", properties)
        outputs[logical_id.removesuffix("Secret")] = value
    created = _created(stack)
    _create(client("cloudformation"), created)
    sqs = client("sqs")
    # CloudFormation names a queue's URL on AWS; this one is at the endpoint.
    refs |= {name: _queue_url(sqs, stack.arn(name)) for name in stack.resources("AWS::SQS::Queue")}
    for policy in stack.resources("AWS::SQS::QueuePolicy").values():
        for url in policy["Queues"]:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy["PolicyDocument"])})
    for bucket in stack.resources("AWS::S3::Bucket").values():
        _configure_bucket(client("s3"), bucket)
    outputs |= {
        name: str(stack.value(output["Value"]))
        for name, output in stack.template["Outputs"].items()
        if not _referred(output["Value"], stack.template["Resources"].keys() - created.keys())
    }
    return Deployment(
        functions={
            name: FunctionConfiguration(
                handler=function.get("Handler") or function["ImageConfig"]["Command"][0],
                timeout_seconds=float(function["Timeout"]),
                memory_megabytes=int(function["MemorySize"]),
                environment={key: str(value) for key, value in function["Environment"]["Variables"].items()},
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
            for name, mapping in stack.resources("AWS::Lambda::EventSourceMapping").items()
        ),
        scheduled_functions=tuple(
            target["Arn"]["Fn::GetAtt"][0]
            for resource in stack.template["Resources"].values()
            if resource["Type"] == "AWS::Events::Rule" and "ScheduleExpression" in resource["Properties"]
            for target in resource["Properties"]["Targets"]
        ),
        outputs=outputs,
        region=session.region_name,
    )


def _created(stack: ResolvedTemplate) -> dict[str, Template]:
    """The resources that the emulator gets, by logical id: named, expressions resolved, order stated."""
    names = [name for resource_type in _CREATED for name in stack.resources(resource_type)]
    unresolved = stack.template["Resources"]
    return {
        name: {
            "Type": resource_type,
            "Properties": _without_later({name_property: stack.name(name)} | properties),
            # Resolved expressions no longer tell CloudFormation what comes first.
            "DependsOn": _referred(_without_later(unresolved[name].get("Properties", {})), names),
        }
        for resource_type, name_property in _CREATED.items()
        for name, properties in stack.resources(resource_type).items()
    }


def _without_later(properties: Template) -> Template:
    return {key: value for key, value in properties.items() if key not in _BUCKET_PROPERTIES_SET_LATER}


def _referred(value: Any, names: Iterable[str]) -> list[str]:
    """Those of `names` that an unresolved expression in `value` refers to."""
    text = json.dumps(value)
    return [name for name in names if f'"{name}"' in text or f"${{{name}" in text]


def _create(cloudformation: CloudFormationClient, resources: Mapping[str, Template]) -> None:
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    request: Any = {"StackName": STACK_NAME, "TemplateBody": json.dumps(template)}
    try:
        cloudformation.create_stack(**request)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})
    except cloudformation.exceptions.AlreadyExistsException:
        try:
            cloudformation.update_stack(**request)
        except ClientError as error:
            if "No updates" not in str(error):
                raise
            return
        cloudformation.get_waiter("stack_update_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})


def _queue_url(sqs: SQSClient, arn: str) -> str:
    return sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]


def _configure_bucket(s3: S3Client, bucket: Template) -> None:
    name = bucket["BucketName"]
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
    """A lifecycle rule of CloudFormation in S3's own words."""
    api: dict[str, Any] = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if rule.get("ExpiredObjectDeleteMarker"):
        api["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if noncurrent := rule.get("NoncurrentVersionExpiration"):
        api["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(noncurrent["NoncurrentDays"])}
    if stale := rule.get("AbortIncompleteMultipartUpload"):
        api["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(stale["DaysAfterInitiation"])}
    return api
