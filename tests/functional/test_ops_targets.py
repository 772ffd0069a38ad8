"""Find a stack: the deployed one through CloudFormation, the local one through the file it wrote.

Also: the exit codes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from image_core.model import Status
from image_core.stores.queue import parse_message
from local.deploy import STACK_NAME, Deployment, deploy, table_arguments
from local.resolve import ResolvedTemplate
from local.template import parameter_values, read_template
from ops import __main__ as program
from ops.redrive import dead_letter_queue
from ops.target import NoSuchStack, Processor, deployed_stack, local_stack
from tests import pictures
from tests.functional.emulator import REGION, Clients, served
from tests.functional.images import image_in
from tests.iam.resolved import WEBHOOK_URL
from tests.running_stack import ROOT, until
from tests.unit.webhooks.events import bus_event

API_URL = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
NAMES = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName", "AWS::SQS::Queue": "QueueName"}


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    """Clients of a separate emulator with CloudFormation. These tests leave stacks behind and delete a table."""
    with served(every_service=True) as url:
        yield Clients(url)


@pytest.fixture(scope="module")
def deployment(clients: Clients) -> Deployment:
    """A stack in the emulator's CloudFormation, whose resources are then set up like those of the local stack."""
    template = read_template()
    session = boto3.Session(region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    parameters = parameter_values(template, {"MaxImageBytes": "3000", "WebhookUrl": WEBHOOK_URL})
    account = session.client("sts", endpoint_url=clients.url).get_caller_identity()["Account"]
    stack = ResolvedTemplate(parameters, region=REGION, account=account, stack=STACK_NAME)
    resources = {
        logical_id: {
            "Type": kind,
            "Properties": {
                NAMES[kind]: stack.name(logical_id),
                **(table_arguments(properties) if kind == "AWS::DynamoDB::Table" else {}),
            },
        }
        for kind in NAMES
        for logical_id, properties in stack.resources(kind).items()
    }
    session.client("cloudformation", endpoint_url=clients.url).create_stack(
        StackName=STACK_NAME,
        TemplateBody=json.dumps(
            {
                "Parameters": stack.template["Parameters"],
                "Resources": resources,
                "Outputs": {"ApiUrl": {"Value": API_URL}},
            }
        ),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    return deploy(template, parameters, session=session, endpoint_url=clients.url)


def command_line(clients: Clients, folder: Path, *arguments: str) -> list[str]:
    """Return the command line of `python -m ops reconcile` for the deployed stack."""
    target = ["--stack", STACK_NAME, "--region", REGION, "--endpoint-url", clients.url]
    fixed = ["--min-age", "0", "--settle", "0", "--workers", "2", "--state", str(folder / "state.json")]
    return ["reconcile", *target, *fixed, *arguments]


def run(clients: Clients, folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the report."""
    report = folder / "report.json"
    code = program.main(command_line(clients, folder, "--report", str(report), *arguments))
    return code, json.loads(report.read_text())


def test_webhooks_that_were_given_up_are_sent_again(
    clients: Clients, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["--stack", STACK_NAME, "--region", REGION, "--endpoint-url", clients.url]
    queue_url = deployment.functions["WebhooksFunction"].environment["WEBHOOK_QUEUE_URL"]
    letters_url = dead_letter_queue(clients.sqs, queue_url)
    bodies = {bus_event(rev=rev) for rev in range(12)}
    for body in bodies:
        clients.sqs.send_message(QueueUrl=letters_url, MessageBody=body)

    assert program.main(["redrive", *target]) == 0
    assert "12 webhooks were given up; nothing was changed" in capsys.readouterr().out
    assert program.main(["redrive", *target, "--apply", "--rate", "1000"]) == 0
    assert "12 sent again" in capsys.readouterr().out
    pages = [clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10) for _ in range(2)]
    assert {message["Body"] for page in pages for message in page["Messages"]} == bodies
    assert "Messages" not in clients.sqs.receive_message(QueueUrl=letters_url)


def without_notifications(clients: Clients, deployment: Deployment, *keys: str) -> str:
    """Put pictures into the uploads bucket without notifications. Return the bucket's name."""
    bucket = deployment.outputs["UploadsBucketName"]
    clients.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    for key in keys:
        clients.s3.put_object(Bucket=bucket, Key=key, Body=pictures.png(8, 8))
    return bucket


def test_a_deployed_stack_is_found_by_its_name_with_its_parameters(
    clients: Clients, deployment: Deployment
) -> None:
    target = deployed_stack(STACK_NAME, region=REGION, profile=None, endpoint_url=clients.url)
    settings = target.settings
    outputs = deployment.outputs
    assert (settings.uploads_bucket, settings.thumbnails_bucket, settings.images_table, settings.stats_table) == (
        outputs["UploadsBucketName"],
        outputs["ThumbnailsBucketName"],
        outputs["ImagesTableName"],
        outputs["StatsTableName"],
    )
    assert settings.queue_url == outputs["QueueUrl"]
    assert settings.webhook_queue_url == deployment.functions["WebhooksFunction"].environment["WEBHOOK_QUEUE_URL"]
    assert settings.max_image_bytes == 3000
    assert target.api_url == API_URL
    assert target.processor == Processor(5, 3008 / 1024, "x86_64")
    services = target.connect(workers=2)
    assert services.records.counters().counts == {}
    # S3's test events: moto sends one; MiniStack and LocalStack send one for each entry of the configuration.
    assert services.queue.waiting() in (1, 2)


def test_a_missing_stack_or_another_kind_of_stack_is_refused(clients: Clients) -> None:
    with pytest.raises(NoSuchStack, match="no stack nothing in eu-west-1"):
        deployed_stack("nothing", region=REGION, profile=None, endpoint_url=clients.url)
    cloudformation = boto3.client("cloudformation", endpoint_url=clients.url, region_name=REGION)
    other = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    cloudformation.create_stack(StackName="other", TemplateBody=json.dumps(other))
    with pytest.raises(NoSuchStack, match="not a stack of this template"):
        deployed_stack("other", region=REGION, profile=None, endpoint_url=clients.url)


@pytest.mark.parametrize("content", [None, "", "{}", '{"settings": {}, "region": "x", "external": false}'])
def test_a_local_stack_without_a_valid_file_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "stack.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NoSuchStack):
        local_stack(path)


def test_the_exit_code_reports_remaining_differences(
    clients: Clients, deployment: Deployment, tmp_path: Path
) -> None:
    assert run(clients, tmp_path)[0] == 0
    bucket = without_notifications(clients, deployment, "photo.jpg")
    code, report = run(clients, tmp_path)
    assert (code, report["differences"]["image_without_record"]["found"]) == (1, 1)
    code, report = run(clients, tmp_path, "--apply")
    assert (code, report["differences"]["image_without_record"]["repaired"]) == (0, 1)
    assert not (tmp_path / "state.json").exists()
    clients.s3.delete_object(Bucket=bucket, Key="photo.jpg")


def test_an_interrupted_import_resumes_and_sends_every_image(
    clients: Clients, deployment: Deployment, tmp_path: Path
) -> None:
    keys = [f"{number:02}.png" for number in range(20)]
    bucket = without_notifications(clients, deployment, *keys)
    queue_url = deployment.outputs["QueueUrl"]
    clients.sqs.purge_queue(QueueUrl=queue_url)
    command = [sys.executable, "-m", "ops", *command_line(clients, tmp_path, "--apply", "--rate", "10")]
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | credentials, stdout=subprocess.DEVNULL)
    try:
        until(lambda: _waiting(clients, queue_url) >= 2, seconds=60)
    finally:
        process.terminate()
    assert process.wait(60) == 130
    assert 2 <= _waiting(clients, queue_url) < 20
    assert run(clients, tmp_path, "--apply", "--resume")[0] == 0
    sent: set[str] = set()
    while messages := clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        sent |= {event.key for message in messages for event in parse_message(message["Body"])}
    assert sent == set(keys)
    for key in keys:
        clients.s3.delete_object(Bucket=bucket, Key=key)


def test_resuming_skips_the_originals_that_were_handled(
    clients: Clients, deployment: Deployment, tmp_path: Path
) -> None:
    bucket = without_notifications(clients, deployment, "a.png", "b.png", "c.png")
    (tmp_path / "state.json").write_text(json.dumps({"bucket": bucket, "start_after": "a.png"}))
    code, report = run(clients, tmp_path, "--apply", "--resume")
    assert (code, report["examined"]["originals"]) == (0, 2)
    assert not (tmp_path / "state.json").exists()
    for key in ("a.png", "b.png", "c.png"):
        clients.s3.delete_object(Bucket=bucket, Key=key)


def _waiting(clients: Clients, queue_url: str) -> int:
    name = "ApproximateNumberOfMessages"
    response = clients.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])
    return int(response["Attributes"][name])


def test_captions_of_an_earlier_model_are_counted_then_reprocessed(
    clients: Clients, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["--stack", STACK_NAME, "--region", REGION, "--endpoint-url", clients.url]
    records = (
        deployed_stack(STACK_NAME, region=REGION, profile=None, endpoint_url=clients.url).connect(workers=2).records
    )
    image_in(records, Status.SUCCESS)
    assert program.main(["reprocess", *target, "--model-not", "current"]) == 2
    assert "no current model" in capsys.readouterr().err
    records.announce_caption_model("fake@2")

    assert program.main(["reprocess", *target, "--model-not", "current"]) == 0
    output = capsys.readouterr().out
    for text in ("1 checked, 1 match; nothing was changed", "1  fake@1", "Time: about 1 s", "Cost: under $0.01"):
        assert text in output
    assert program.main(["reprocess", *target, "--model-not", "current", "--apply"]) == 0
    assert "1 match; 1 reprocessed" in capsys.readouterr().out
    assert program.main(["reprocess", *target, "--model-not", "current"]) == 0
    assert "0 match" in capsys.readouterr().out
    (record,) = records.every()
    records.mark_deleting(record, deadline_seconds=0)


def test_an_unreadable_stack_ends_with_3_and_one_line(
    clients: Clients, deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.dynamodb.delete_table(TableName=deployment.outputs["StatsTableName"])
    assert run(clients, tmp_path)[0] == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "ResourceNotFoundException" in line
