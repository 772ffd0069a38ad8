"""Brings template.yaml up: by CloudFormation, and by the services' own calls where moto's falls short."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import secrets
from local.expressions import Expressions
from local.services import RESOURCE_TYPES
from local.template import Template, translate

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

STACK_NAME = "image-pipeline"

# moto's CloudFormation passes these over, so they are set through S3's own API.
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
    """Creates the stack (or updates it, at an endpoint that keeps its state) and reads back what it is."""
    region = session.region_name
    translated = translate(template, region=region, parameters=parameters)
    resources: Template = translated["Resources"]

    cloudformation = session.client("cloudformation", endpoint_url=endpoint_url)
    s3 = session.client("s3", endpoint_url=endpoint_url)
    sqs = session.client("sqs", endpoint_url=endpoint_url)

    functions = _of_type(resources, "AWS::Lambda::Function")
    mappings = _of_type(resources, "AWS::Lambda::EventSourceMapping")
    buckets = _of_type(resources, "AWS::S3::Bucket")
    wanted = {
        "functions": {
            name: {
                "handler": properties.get("Handler") or properties["ImageConfig"]["Command"][0],
                "timeout": properties["Timeout"],
                "memory": properties["MemorySize"],
                "environment": properties["Environment"]["Variables"],
            }
            for name, properties in functions.items()
        },
        "queues": {
            name: {"arn": mapping["EventSourceArn"], "batch_size": mapping["BatchSize"]}
            for name, mapping in mappings.items()
        },
        "buckets": {
            name: {key: properties.get(key) for key in ("BucketName", *_BUCKET_PROPERTIES_SET_LATER)}
            for name, properties in buckets.items()
        },
        "policies": {
            name: {"queues": properties["Queues"], "document": properties["PolicyDocument"]}
            for name, properties in _of_type(resources, "AWS::SQS::QueuePolicy").items()
        },
        "outputs": {
            name: output["Value"]
            for name, output in translated["Outputs"].items()
            if _refers_only_to(output["Value"], resources)
        },
    }
    secret_resources = _of_type(resources, "AWS::SecretsManager::Secret")
    expressions = Expressions()
    asked = expressions.numbered(secrets.marked(wanted, secret_resources))
    _create(cloudformation, _reduced(translated, expressions), parameters)
    known: Any = expressions.replaced(asked, _outputs(cloudformation))

    for policy in known["policies"].values():
        for queue in policy["queues"]:
            url = _queue_url(sqs, queue)
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy["document"])})
    for bucket in known["buckets"].values():
        _configure_bucket(s3, bucket)
    known["outputs"] |= {
        name: _queue_url(sqs, value) for name, value in known["outputs"].items() if name.endswith("QueueUrl")
    }
    manager = session.client("secretsmanager", endpoint_url=endpoint_url)
    for function in known["functions"].values():
        for variable, value in function["environment"].items():
            if (logical_id := secrets.marked_secret(str(value))) is not None:
                arn, secret = secrets.make(manager, f"{STACK_NAME}-{logical_id}", secret_resources[logical_id])
                function["environment"][variable] = arn
                known["outputs"][logical_id.removesuffix("Secret")] = secret
        queue_url = function["environment"].get("QUEUE_URL")
        if queue_url:
            function["environment"]["QUEUE_URL"] = _queue_url(sqs, queue_url)

    return Deployment(
        functions={
            name: FunctionConfiguration(
                handler=function["handler"],
                timeout_seconds=float(function["timeout"]),
                memory_megabytes=int(function["memory"]),
                environment={key: str(value) for key, value in function["environment"].items()},
            )
            for name, function in known["functions"].items()
        },
        event_sources=tuple(
            EventSource(
                function=mapping["FunctionName"]["Ref"],
                queue_url=_queue_url(sqs, known["queues"][name]["arn"]),
                queue_arn=known["queues"][name]["arn"],
                batch_size=int(known["queues"][name]["batch_size"]),
                reports_item_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []),
            )
            for name, mapping in mappings.items()
        ),
        scheduled_functions=tuple(
            target["Arn"]["Fn::GetAtt"][0]
            for rule in _of_type(resources, "AWS::Events::Rule").values()
            if "ScheduleExpression" in rule
            for target in rule["Targets"]
        ),
        outputs=known["outputs"],
        region=region,
    )


def _of_type(resources: Template, resource_type: str) -> dict[str, Template]:
    return {
        name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == resource_type
    }


def _refers_only_to(value: Any, resources: Template) -> bool:
    """Whether an output needs nothing but resources that are created here."""
    absent = [name for name, resource in resources.items() if resource["Type"] not in RESOURCE_TYPES]
    text = json.dumps(value)
    return not any(f'"{name}"' in text or f"${{{name}" in text for name in absent)


def _reduced(translated: Template, expressions: Expressions) -> Template:
    """The template with the resources that are created, and an output for each expression."""
    created = {}
    for name, resource in translated["Resources"].items():
        if resource["Type"] in RESOURCE_TYPES:
            properties = {
                key: value
                for key, value in resource.get("Properties", {}).items()
                if key not in _BUCKET_PROPERTIES_SET_LATER
            }
            created[name] = {"Type": resource["Type"], "Properties": properties}
            if "Condition" in resource:
                created[name]["Condition"] = resource["Condition"]
    kept: Template = {key: translated[key] for key in ("Parameters", "Conditions", "Mappings") if key in translated}
    outputs = {name: {"Value": expression} for name, expression in expressions.by_output.items()}
    return {"AWSTemplateFormatVersion": "2010-09-09", **kept, "Resources": created, "Outputs": outputs}


def _create(cloudformation: CloudFormationClient, template: Template, parameters: Mapping[str, str]) -> None:
    request: Any = {
        "StackName": STACK_NAME,
        "TemplateBody": json.dumps(template),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
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


def _outputs(cloudformation: CloudFormationClient) -> dict[str, str]:
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output.get("OutputValue", "") for output in stack.get("Outputs", [])}


def _queue_url(sqs: SQSClient, arn_or_url: str) -> str:
    """The queue's URL at this endpoint; moto's CloudFormation names the one on AWS."""
    name = arn_or_url.replace("/", ":").rsplit(":", 1)[1]
    return sqs.get_queue_url(QueueName=name)["QueueUrl"]


def _configure_bucket(s3: S3Client, bucket: Template) -> None:
    name = bucket["BucketName"]
    if versioning := bucket["VersioningConfiguration"]:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    if lifecycle := bucket["LifecycleConfiguration"]:
        rules: Any = [_lifecycle_rule(rule) for rule in lifecycle["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    if notifications := bucket["NotificationConfiguration"]:
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
