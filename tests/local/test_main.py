"""`python -m local` as a whole, with the real template and fake functions."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.template import ROOT
from ops.target import NoSuchStack, local_stack

KEY = "some folder/my photo+1 é.jpg"
FAKES = Path(__file__).parent / "fakes"
WEBHOOK_URL = "http://127.0.0.1:9/hook?token=t"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "local", "--model", "demo", *arguments]


class Run:
    """A `python -m local` that runs in the background."""

    def __init__(self, folder: Path, *arguments: str, env_file: Path | None = None) -> None:
        self._folder = folder
        self.notes = folder / "notes"
        self.output = folder / "output"
        self._ready_file = folder / "ready.json"
        self.env_file = env_file or folder / "sam" / "env.json"
        files = ["--ready-file", str(self._ready_file), "--env-file", str(self.env_file)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command("--port", "0", "--aws-port", "0", *files, *arguments),
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(FAKES), "FAKE_NOTES": str(self.notes)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> dict[str, Any] | None:
        assert self.process.poll() is None, self.output.read_text()
        if not self._ready_file.exists():
            return None
        description: dict[str, Any] = json.loads(self._ready_file.read_text())
        return description

    def recorded(self, name: str) -> list[Any]:
        if not self.notes.exists():
            return []
        lines = map(json.loads, self.notes.read_text().splitlines())
        return [line[name] for line in lines if name in line]


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]
) -> Iterator[tuple[Run, dict[str, Any]]]:
    times = [
        "Processor.Timeout=5",
        "Processor.VisibilityTimeout=1",
        "Processor.MaxReceiveCount=2",
        "Recovery.VisibilityTimeout=5",
    ]
    flags = [flag for time in times for flag in ("--timing", time)]
    flags += ["--webhook-url", WEBHOOK_URL]
    run = Run(tmp_path_factory.mktemp("stack"), "--workers", "2", "--sweep-seconds", "0.5", *flags)
    try:
        yield run, eventually(run.ready, seconds=60)
    finally:
        run.process.terminate()
        run.process.wait(20)


@pytest.fixture
def client(stack: tuple[Run, dict[str, Any]], session: boto3.Session) -> Callable[[str], Any]:
    return lambda service: session.client(service, endpoint_url=stack[1]["aws_endpoint_url"])


def event_names(run: Run, key: str) -> list[str]:
    from urllib.parse import unquote_plus

    records = [record for body in run.recorded("body") for record in body.get("Records", [])]
    return [record["eventName"] for record in records if unquote_plus(record["s3"]["object"]["key"]) == key]


def test_a_dropped_file_and_its_removal_reach_the_processor(stack, client, eventually):
    run, ready = stack
    client("s3").put_object(Bucket=ready["uploads_bucket_name"], Key=KEY, Body=b"x")
    client("s3").delete_object(Bucket=ready["uploads_bucket_name"], Key=KEY)
    wanted = ["ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated"]
    eventually(lambda: sorted(event_names(run, KEY)) == wanted)


def test_functions_get_the_settings_of_the_template(stack, client, eventually):
    _, ready = stack
    with urllib.request.urlopen(ready["api_url"]) as response:
        settings = json.load(response)
    assert settings["UPLOADS_BUCKET"] == ready["uploads_bucket_name"]
    assert settings["PROCESSOR_TIMEOUT_SECONDS"] == "5"
    assert settings["MAX_POST_BYTES"] == settings["MAX_IMAGE_BYTES"] == "50000000"
    assert settings["CAPTION_MODEL_DIR"] is None, "only the processor has this variable"


def test_the_stack_matches_the_template(stack, client):
    _, ready = stack
    s3, sqs, dynamodb = client("s3"), client("sqs"), client("dynamodb")
    bucket = ready["uploads_bucket_name"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    queue = sqs.get_queue_attributes(QueueUrl=ready["queue_url"], AttributeNames=["All"])["Attributes"]
    assert queue["VisibilityTimeout"] == "1"
    assert json.loads(queue["RedrivePolicy"])["maxReceiveCount"] == 2
    allowed = [one for one in json.loads(queue["Policy"])["Statement"] if one["Effect"] == "Allow"]
    (statement,) = allowed
    assert statement["Condition"]["ArnEquals"] == {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}
    images = dynamodb.describe_table(TableName=ready["images_table_name"])["Table"]
    assert {index["IndexName"] for index in images["GlobalSecondaryIndexes"]} == {
        "by_content",
        "by_created",
        "by_review",
        "by_status",
    }
    assert images["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"


def test_a_message_that_keeps_failing_reaches_the_recovery_function(stack, client, eventually):
    run, ready = stack
    body = json.dumps({"do": "raise"})
    message_id = client("sqs").send_message(QueueUrl=ready["queue_url"], MessageBody=body)["MessageId"]

    def letters() -> list[str]:
        records = [record for event in run.recorded("recovery") for record in event.get("Records", [])]
        return [record["messageId"] for record in records]

    eventually(lambda: message_id in letters())


def test_an_event_on_the_bus_reaches_the_webhooks_function(stack, client, eventually):
    run, ready = stack
    detail = {"image_id": "img_1", "event_id": "img_1-1-success"}
    entry = {"Source": "image-pipeline", "DetailType": "ImageProcessed", "Detail": json.dumps(detail)}
    client("events").put_events(Entries=[entry | {"EventBusName": "image-pipeline"}])
    event = eventually(lambda: run.recorded("webhooks"))[0]
    (record,) = event["Records"]
    assert json.loads(record["body"])["detail"] == detail
    variables = run.recorded("variables")[0]
    assert variables["WEBHOOK_URL"] == ready["webhook_url"] == WEBHOOK_URL
    secret = client("secretsmanager").get_secret_value(SecretId=variables["WEBHOOK_SECRET_ARN"])["SecretString"]
    assert ready["webhook_secret"] == f"whsec_{secret}"
    sqs = client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=variables["WEBHOOK_QUEUE_URL"], AttributeNames=["All"])
    assert json.loads(attributes["Attributes"]["RedrivePolicy"])["maxReceiveCount"] == 31
    printed = run.output.read_text()
    assert f"Webhooks      http://127.0.0.1:9/hook   (secret whsec_{secret})" in printed
    assert "ImageProcessed img_1: done" in printed


def test_the_sweep_runs_on_its_schedule(stack, eventually):
    run, _ = stack
    event = eventually(lambda: [e for e in run.recorded("recovery") if "Records" not in e])[0]
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert event["resources"][0].startswith("arn:aws:events:us-east-1:")


def test_the_banner_shows_all_urls_and_names(stack):
    run, ready = stack
    text = run.output.read_text()
    assert ready["api_url"] in text
    assert (
        f"aws --endpoint-url {ready['aws_endpoint_url']} s3 cp photo.jpg s3://{ready['uploads_bucket_name']}/"
        in text
    )
    assert "export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test" in text
    assert "(moto; all data are lost when it stops)" in text
    assert "DEMO MODEL (demo-model)" in text
    assert "WORKERS=0" not in text


def test_sam_local_gets_an_environment_that_works_inside_containers(stack):
    _, ready = stack
    functions = json.loads(Path(ready["env_file"]).read_text())
    names = ("Api", "Processor", "Recovery", "Stream", "Webhooks")
    assert set(functions) == {f"{name}Function" for name in names}
    webhooks = functions["WebhooksFunction"]
    assert webhooks["WEBHOOK_URL"] == "http://host.docker.internal:9/hook?token=t"
    assert webhooks["WEBHOOK_QUEUE_URL"].startswith(webhooks["LOCAL_ENDPOINT_URL"])
    port = ready["aws_endpoint_url"].rsplit(":", 1)[1]
    for variables in functions.values():
        assert variables["LOCAL_ENDPOINT_URL"] == f"http://host.docker.internal:{port}"
        assert variables["QUEUE_URL"].startswith(variables["LOCAL_ENDPOINT_URL"])
        assert variables["S3_PUBLIC_ENDPOINT_URL"] == ready["aws_endpoint_url"]


def test_without_workers_the_banner_says_that_nothing_is_processed(tmp_path, eventually):
    run = Run(tmp_path, "--workers", "0")
    try:
        eventually(run.ready, seconds=60)
        eventually(lambda: "WORKERS=0" in run.output.read_text())
    finally:
        run.process.terminate()
        run.process.wait(20)


def test_a_second_stack_does_not_overwrite_the_files_of_the_first(stack):
    run, ready = stack
    before = run.env_file.read_text()
    arguments = ["--port", "0", "--aws-port", "0", "--env-file", str(run.env_file)]
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"the stack at {ready['api_url']} has its files in {run.env_file.parent}" in line
    assert run.env_file.read_text() == before


def test_stopping_warns_about_images_in_progress(tmp_path, session, eventually):
    run = Run(tmp_path)
    ready = eventually(run.ready, seconds=60)
    sqs = session.client("sqs", endpoint_url=ready["aws_endpoint_url"])
    sqs.send_message(QueueUrl=ready["queue_url"], MessageBody='{"do": "sleep"}')
    eventually(lambda: {"do": "sleep"} in run.recorded("body"))
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(20) == 0
    text = run.output.read_text()
    assert '{"do": "sleep"}: not finished, because the stack is stopping' in text
    assert "killed" not in text


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_keeps_running(tmp_path, eventually, is_alive, signum):
    run = Run(tmp_path)
    ready = eventually(run.ready, seconds=60)
    assert run.env_file.exists()
    pids = [pid for group in ready["pids"].values() for pid in group]
    assert len(pids) == 6
    assert all(map(is_alive, pids))
    run.process.send_signal(signum)
    assert run.process.wait(20) == (0 if signum != signal.SIGKILL else -signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, pids)), seconds=5)
    with pytest.raises(NoSuchStack):
        local_stack(run.env_file.with_name("stack.json"))
    assert run.env_file.exists() == (signum == signal.SIGKILL)


def test_it_can_be_interrupted_while_it_starts(tmp_path, eventually):
    run = Run(tmp_path)
    eventually(lambda: "starting" in run.output.read_text())
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(20) == 0
    assert "Traceback" not in run.output.read_text()


@pytest.mark.parametrize("flag", ["--port", "--aws-port"])
def test_the_error_for_a_busy_port_names_it_before_anything_starts(flag):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        busy = str(other.getsockname()[1])
        arguments = ["--port", "0", "--aws-port", "0", flag, busy]
        done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {busy} is in use" in line
    assert flag in line
    assert done.stdout == ""


def test_the_error_for_an_unknown_parameter_names_it(tmp_path):
    arguments = ["--port", "0", "--aws-port", "0", "--parameter", "ProcesorTimeout=5"]
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["python -m local: template.yaml has no parameter ProcesorTimeout"]


def test_a_function_that_cannot_be_imported_stops_the_start(tmp_path):
    broken = tmp_path / "image_recovery"
    broken.mkdir()
    (broken / "__init__.py").touch()
    (broken / "handler.py").write_text("raise RuntimeError('broken on purpose')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{FAKES}", "FAKE_NOTES": str(tmp_path / "notes")}
    arguments = ["--port", "0", "--aws-port", "0", "--env-file", str(tmp_path / "env.json")]
    done = subprocess.run(
        command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    assert "recovery: the worker did not start: exit code 1" in done.stderr
