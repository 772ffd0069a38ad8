"""A deployment without AWS: moto's CloudFormation creates the whole translated template.

moto supports most of its resource types and skips the others. The tests compare what it created with the template;
other tests, listed in docs/moto.md, check the skipped resources.
"""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
import urllib.request
import zipfile
from ast import literal_eval
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.containers import free_port
from local.resolve import ResolvedTemplate
from tests.iam.resolved import REGION, STACK, observability, resolved
from tests.running_stack import until
from tests.template.conftest import EVERYTHING_ON

PASSED_OVER = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::Secret",
}
"""Resource types that moto's CloudFormation does not support."""


class Deployed:
    """A stack in moto, and clients to inspect it."""

    def __init__(self, url: str, **parameters: str) -> None:
        self._url = url
        self.stack = stack = resolved(**parameters)
        self._nested = observability(**parameters)
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()
        self._upload_code()
        self.client("cloudformation").create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(without_skipped(stack.template, stack)),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in stack.parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )

    def client(self, service: str, region: str = REGION) -> Any:
        session = boto3.Session("testing", "testing", region_name=region)
        return session.client(service, endpoint_url=self._url)  # type: ignore[call-overload]

    def _upload_code(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("main.py", "")
        s3 = self.client("s3", "us-east-1")
        s3.create_bucket(Bucket="code")
        for key in ("function.zip", "layer.zip"):
            s3.put_object(Bucket="code", Key=key, Body=archive.getvalue())
        nested = json.dumps(without_skipped(self._nested.template, self._nested))
        s3.put_object(Bucket="code", Key="observability.yaml", Body=nested)

    def physical_ids(self) -> dict[str, str]:
        """Return the physical ids by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        return {
            r["LogicalResourceId"]: r.get("PhysicalResourceId", "")
            for page in pages
            for r in page["StackResourceSummaries"]
        }


def without_skipped(value: Any, stack: ResolvedTemplate) -> Any:
    """Resolve references to skipped resources, because moto fails on them."""

    def is_unknown(name: str) -> bool:
        return stack.template["Resources"].get(name, {}).get("Type") in PASSED_OVER

    if isinstance(value, list):
        return [without_skipped(item, stack) for item in value]
    if not isinstance(value, dict):
        return value
    if "EventBusName" in value:  # moto passes an object on, instead of a name
        value = value | {"EventBusName": stack.value(value["EventBusName"])}
    if "Fn::GetAtt" in value and is_unknown(value["Fn::GetAtt"][0]):
        return stack.value(value)
    if set(value) == {"Ref"} and is_unknown(value["Ref"]):
        return stack.value(value)
    if any(is_unknown(name) for name in re.findall(r"\$\{(\w+)\.\w+\}", str(value.get("Fn::Sub")))):
        return stack.value(value)
    return {key: without_skipped(item, stack) for key, item in value.items()}


VARIANTS: dict[str, dict[str, str]] = {
    "as it comes": {},
    "everything on": EVERYTHING_ON,
    "no key": {"ApiKeyRequired": "false"},
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a complete moto in a separate process, which is reset between two stacks."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: process.poll() is not None or responds(port), seconds=60)
            yield url
        finally:
            process.terminate()


def responds(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=list(VARIANTS))
def deployed(request: pytest.FixtureRequest, url: str) -> Deployed:
    return Deployed(url, **VARIANTS[request.param])


def test_the_stack_is_created_with_everything_that_moto_knows(deployed: Deployed) -> None:
    (found,) = deployed.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert found["StackStatus"] == "CREATE_COMPLETE"
    resources = deployed.stack.template["Resources"]
    wanted = {name: resource["Type"] for name, resource in resources.items() if deployed.stack.exists(name)}
    created = deployed.physical_ids()
    assert {kind for name, kind in wanted.items() if name not in created} <= PASSED_OVER
    assert len(created) >= 20


def test_two_implementations_give_the_same_role_policies(deployed: Deployed) -> None:
    """tests/iam evaluates the same policies that another implementation of CloudFormation passes to IAM."""
    iam, ids = deployed.client("iam"), deployed.physical_ids()
    secrets = ("ApiKey", "Secret")
    for role, properties in deployed.stack.resources("AWS::IAM::Role").items():
        for policy in properties.get("Policies", []):
            found = str(iam.get_role_policy(RoleName=ids[role], PolicyName=policy["PolicyName"])["PolicyDocument"])
            for logical_id in filter(None, ids):  # generated names end in something random
                found = re.sub(rf"{STACK}-{logical_id}-\w+", deployed.stack.name(logical_id), found)
            # A stream's name contains the time of its creation.
            found = re.sub(r"/stream/\d[^']*", "/stream/2026-11-20T10:00:00.000", found)
            # moto keeps Python's notation, and None for AWS::NoValue. A secret, which it skips, has no ARN, and the
            # ARN of a log group lacks its streams.
            wanted = str(policy["PolicyDocument"]["Statement"]).replace(":*'", "'")
            assert [s for s in literal_eval(found)["Statement"] if s and s["Sid"] not in secrets] == [
                s for s in literal_eval(wanted) if s["Sid"] not in secrets
            ]


def test_the_buckets_are_encrypted(deployed: Deployed) -> None:
    s3 = deployed.client("s3")
    for bucket, properties in deployed.stack.resources("AWS::S3::Bucket").items():
        name = deployed.stack.name(bucket)
        (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        (wanted,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ApplyServerSideEncryptionByDefault"] == wanted["ServerSideEncryptionByDefault"]


def test_tables_are_protected_from_deletion_if_configured(deployed: Deployed) -> None:
    dynamodb, ids = deployed.client("dynamodb"), deployed.physical_ids()
    protected = deployed.stack.parameters["ProtectData"] == "true"
    # The search index can be made again.
    for table in deployed.stack.resources("AWS::DynamoDB::Table").keys() - {"SearchTable"}:
        assert dynamodb.describe_table(TableName=ids[table])["Table"]["DeletionProtectionEnabled"] is protected
