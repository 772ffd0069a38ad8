"""`make teardown`, with moto's CloudFormation: the stack, its data, and what CloudFormation retains."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.resolve import ResolvedTemplate
from ops import __main__ as program
from ops.registry import companion_stack
from ops.teardown.clients import Clients
from ops.teardown.delete import Teardown
from ops.teardown.inventory import BUCKETS, Finder, is_protected
from tests.functional.emulator import moto
from tests.running_stack import until

REGION = "eu-west-1"
NAME = "image-pipeline-teardown"
OBJECTS, VERSIONS_EACH = 6, 2


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def clients(url: str) -> dict[str, Any]:
    until(lambda: boto3.client("s3", endpoint_url=url).list_buckets(), seconds=30)
    services = ("cloudformation", "s3", "dynamodb", "sqs", "ecr")
    return {name: boto3.client(name, endpoint_url=url, region_name=REGION) for name in services}  # type: ignore[call-overload]


class Deployed:
    """A stack with the buckets and tables of template.yaml, which CloudFormation retains, and a queue.

    moto's CloudFormation supports neither RetainExceptOnCreate nor versioning.
    """

    def __init__(self, clients: dict[str, Any], name: str = NAME, *, protected: bool = False) -> None:
        self.clients, self.name = clients, name
        account = boto3.client("sts", endpoint_url=clients["s3"].meta.endpoint_url).get_caller_identity()["Account"]
        stack = ResolvedTemplate(
            {"ProtectData": str(protected).lower()}, region=REGION, account=account, stack=name
        )
        self.buckets = [stack.name(one) for one in stack.resources("AWS::S3::Bucket")]
        wanted: dict[str, Any] = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-q"}}}
        for logical_id, properties in stack.resources("AWS::S3::Bucket").items():
            kept = {key: properties[key] for key in ("BucketName", "VersioningConfiguration") if key in properties}
            wanted[logical_id] = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": kept}
        for logical_id, properties in stack.resources("AWS::DynamoDB::Table").items():
            kept = {key: value for key, value in properties.items() if "Specification" not in key}
            wanted[logical_id] = {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": kept}
        self._create(name, wanted, {"ProtectData": str(protected).lower()})
        for bucket in self.buckets:
            clients["s3"].put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        resources = clients["cloudformation"].list_stack_resources(StackName=name)["StackResourceSummaries"]
        self.tables = [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::DynamoDB::Table"]
        assert len(self.tables) == len(stack.resources("AWS::DynamoDB::Table"))

    def _create(self, name: str, resources: dict[str, Any], parameters: dict[str, str]) -> None:
        self.clients["cloudformation"].create_stack(
            StackName=name,
            TemplateBody=json.dumps(
                {"Parameters": {p: {"Type": "String"} for p in parameters}, "Resources": resources}
            ),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )

    def with_registry(self) -> str:
        """Create the companion stack that SAM creates, and an image in its registry."""
        repository = f"{self.name}registry/processor"
        resource = {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": repository}}
        self._create(companion_stack(self.name), {"Repository": resource}, {})
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
        manifest |= {"config": {"digest": "sha256:1", "size": 1}, "layers": []}
        self.clients["ecr"].put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag="a")
        return repository

    def fill(self) -> None:
        """Create objects, old versions, delete markers and a record."""
        s3, uploads = self.clients["s3"], self.buckets[0]
        for number in range(OBJECTS):
            for _ in range(VERSIONS_EACH):
                s3.put_object(Bucket=uploads, Key=f"folder/{number} é+.jpg", Body=b"photo")
        for number in range(0, OBJECTS, 2):
            s3.delete_object(Bucket=uploads, Key=f"folder/{number} é+.jpg")
        s3.put_object(Bucket=self.buckets[1], Key="img/1/small", Body=b"thumbnail")
        images = next(table for table in self.tables if "ImagesTable" in table)
        self.clients["dynamodb"].put_item(TableName=images, Item={"image_id": {"S": "img_1"}})

    def remaining(self) -> list[str]:
        """Return the names of everything that still exists."""
        stacks = self.clients["cloudformation"].describe_stacks()["Stacks"]
        names = {self.name, companion_stack(self.name)}
        remaining = [one["StackName"] for one in stacks if one["StackName"] in names]
        remaining += [
            one["Name"] for one in self.clients["s3"].list_buckets()["Buckets"] if one["Name"] in self.buckets
        ]
        remaining += [table for table in tables(self.clients["dynamodb"]) if table in self.tables]
        return remaining


def tables(dynamodb: Any) -> list[str]:
    return [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]


def teardown(url: str, *arguments: str, name: str = NAME) -> int:
    return program.main(["teardown", name, "--region", REGION, "--endpoint-url", url, *arguments])


def typing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_the_buckets_match_the_template() -> None:
    stack = ResolvedTemplate({}, region=REGION, account="123456789012", stack=NAME)
    named = {stack.name(one) for one in stack.resources("AWS::S3::Bucket")}
    assert named == {form.format(stack=NAME, account="123456789012", region=REGION) for form in BUCKETS}


def test_everything_is_deleted_after_the_name_was_typed_and_nothing_of_other_stacks(
    url: str, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = Deployed(clients), Deployed(clients, f"{NAME}-2")
    repository = mine.with_registry()
    mine.fill()

    typing(monkeypatch, "image-pipeline\n")
    assert teardown(url) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert len(mine.remaining()) == 2 + len(mine.buckets) + len(mine.tables)

    typing(monkeypatch, f"{NAME}\n")
    assert teardown(url) == 0
    output = capsys.readouterr().out
    assert f"bucket {mine.buckets[0]}: {OBJECTS // 2:,} objects, {OBJECTS * VERSIONS_EACH:,} versions" in output
    assert "about 1 records" in output
    assert mine.remaining() == []
    assert repository not in str(clients["ecr"].describe_repositories()["repositories"])
    assert len(other.remaining()) == 1 + len(other.buckets) + len(other.tables)

    assert teardown(url, "--yes") == 2, "nothing is left to delete"
    assert teardown(url, "--yes", name=other.name) == 0


def test_a_bucket_is_emptied_page_by_page(url: str, clients: dict[str, Any]) -> None:
    stack = Deployed(clients)
    stack.fill()
    session = boto3.Session("test", "test", region_name=REGION)
    output: list[str] = []
    these = Clients.of(session, url)
    Teardown(these, print_line=output.append, page_size=4).run(Finder(NAME, these).inventory())
    versions = OBJECTS * VERSIONS_EACH + OBJECTS // 2
    assert f"emptied {stack.buckets[0]}: {versions} versions and delete markers" in output
    assert stack.remaining() == []


def test_data_left_by_a_deleted_stack_are_found(url: str, clients: dict[str, Any]) -> None:
    stack = Deployed(clients)
    stack.fill()
    clients["cloudformation"].delete_stack(StackName=NAME)
    assert sorted(stack.remaining()) == sorted(stack.buckets + stack.tables), "CloudFormation retains them"
    assert teardown(url, "--yes") == 0
    assert stack.remaining() == []


def test_a_table_is_found_by_its_tag_when_cloudformation_no_longer_knows_the_stack(
    url: str, clients: dict[str, Any]
) -> None:
    dynamodb = clients["dynamodb"]
    stack_of = {
        f"{NAME}-ImagesTable-1A2B3C4D5E6F": NAME,
        f"{NAME}-StatsTable-1A2B3C4D5E6F": None,  # the user's own, whatever its name
        f"{NAME}-2-ImagesTable-1A2B3C4D5E6F": f"{NAME}-2",
        "photos": NAME,
    }
    for table, stack in stack_of.items():
        created = dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        if stack:
            tag = {"Key": "aws:cloudformation:stack-name", "Value": stack}
            dynamodb.tag_resource(ResourceArn=created["TableDescription"]["TableArn"], Tags=[tag])
    assert teardown(url, "--yes") == 0
    remaining = tables(dynamodb)
    assert set(stack_of) - set(remaining) == {f"{NAME}-ImagesTable-1A2B3C4D5E6F"}
    for table in set(stack_of) & set(remaining):
        dynamodb.delete_table(TableName=table)


def test_an_interrupted_teardown_can_be_continued(
    url: str, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Deployed(clients)
    stack.fill()

    class EndsEarly(io.StringIO):
        """Raise KeyboardInterrupt once the first bucket is deleted."""

        def write(self, text: str) -> int:
            if text.startswith("deleted bucket"):
                raise KeyboardInterrupt
            return super().write(text)

    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", EndsEarly())
        assert teardown(url, "--yes") == 130
    assert "Run this again" in capsys.readouterr().err
    assert len(stack.remaining()) == len(stack.buckets) - 1 + len(stack.tables)
    assert teardown(url, "--yes") == 0
    assert stack.remaining() == []


def test_a_protected_stack_is_refused(
    url: str, clients: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Deployed(clients, protected=True)
    stack.fill()
    before = stack.remaining()
    assert teardown(url, "--yes") == 2
    assert "ProtectData=false" in capsys.readouterr().err
    assert stack.remaining() == before

    # A deleted stack leaves tables that are still protected.
    clients["cloudformation"].delete_stack(StackName=NAME)
    clients["dynamodb"].update_table(TableName=stack.tables[0], DeletionProtectionEnabled=True)
    assert teardown(url, "--yes") == 2
    assert f"--table-name {stack.tables[0]} --no-deletion-protection-enabled" in capsys.readouterr().err
    assert sorted(stack.remaining()) == sorted(stack.buckets + stack.tables)
    for table in stack.tables:
        clients["dynamodb"].update_table(TableName=table, DeletionProtectionEnabled=False)
    assert teardown(url, "--yes") == 0
    assert stack.remaining() == []


@pytest.mark.parametrize(
    ("status", "protect_data", "termination", "protected"),
    [
        ("CREATE_COMPLETE", "false", False, False),
        ("UPDATE_ROLLBACK_COMPLETE", "true", False, True),
        ("CREATE_COMPLETE", "false", True, True),
        # A failed first deployment cannot be updated, and has no data.
        ("ROLLBACK_COMPLETE", "true", False, False),
    ],
)
def test_a_stack_that_was_never_created_is_not_protected(
    status: str, protect_data: str, termination: bool, protected: bool
) -> None:
    stack = {
        "StackStatus": status,
        "Parameters": [{"ParameterKey": "ProtectData", "ParameterValue": protect_data}],
        "EnableTerminationProtection": termination,
    }
    assert is_protected(stack) is protected
