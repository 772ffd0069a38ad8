"""The processor's container image: its contents, and that it works."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.containers.conftest import sam
from tests.running_stack import Stack

MEGABYTE = 1_000_000
MAX_MEGABYTES = 250

pytestmark = pytest.mark.containers


def in_image(image: str, *command: str) -> str:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--entrypoint", command[0], image, *command[1:]],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_image_without_weights_and_base_image_is_small_and_has_no_torch(built: str) -> None:
    layers = subprocess.run(
        ["docker", "history", "--no-trunc=false", "--format", "{{.Size}}\t{{.CreatedBy}}", built],
        capture_output=True,
        text=True,
        check=True,
    )
    print(layers.stdout)

    total, models = (int(in_image(built, "du", "-sb", path).split()[0]) for path in ("/var/task", "models"))

    print(
        f"deployed without weights and base image: {(total - models) / MEGABYTE:.0f} MB; models: {models:,} bytes"
    )
    assert total - models <= MAX_MEGABYTES * MEGABYTE
    installed = in_image(built, "ls", "/var/task").split()
    assert "onnxruntime" in installed
    assert not {"torch", "transformers"} & set(installed)


def test_every_module_is_compiled_because_the_file_system_is_read_only(built: str) -> None:
    script = (
        "import pathlib;"
        "missing = [str(p) for p in pathlib.Path('/var/task').rglob('*.py')"
        " if 'site-packages' not in p.parts and not list((p.parent / '__pycache__').glob(p.stem + '.*.pyc'))];"
        "print(len(missing), missing[:5])"
    )
    assert in_image(built, "python3", "-c", script).startswith("0 ")


def test_importing_the_handler_loads_no_torch_and_no_transformers(built: str) -> None:
    script = (
        "import sys, image_processor.handler, image_processor.captioning.onnx_captioner;"
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert in_image(built, "python3", "-c", script).strip() == "[]"


def invoke(stack: Stack, event: dict[str, Any], folder: Path) -> Any:
    """Return the response of the processor's container to an event. The container ends after it."""
    path = folder / "event.json"
    path.write_text(json.dumps(event))
    arguments = ["local", "invoke", "ProcessorFunction", "--event", str(path), "--skip-pull-image"]
    done = sam(*arguments, "--env-vars", str(stack.env_file), timeout=180)
    print(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def s3_event(stack: Stack, key: str) -> dict[str, Any]:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-20T10:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": stack.bucket}, "object": {"key": key}},
    }
    return {"Records": [record]}


def sqs_event(body: dict[str, Any]) -> dict[str, Any]:
    record = {
        "messageId": "11d6ee51-4cc7-4302-9e22-7cd8afdaadf5",
        "receiptHandle": "AQEBBX8nesZEXmkhsmZeyIE8iQAMig7qw",
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


@pytest.mark.parametrize("kind", ["s3", "sqs"])
def test_the_container_processes_the_event_of_a_picture(stack: Stack, kind: str, tmp_path: Path) -> None:
    name = f"{kind} picture.jpg"
    stack.s3.put_object(Bucket=stack.bucket, Key=name, Body=pictures.jpeg(1200, 800, orientation=6))
    event = s3_event(stack, name.replace(" ", "+"))

    response = invoke(stack, event if kind == "s3" else sqs_event(event), tmp_path)

    assert response == ({} if kind == "s3" else {"batchItemFailures": []})
    image = stack.dropped(name, seconds=1)
    assert image["status"] == "success", image
    assert image["data"]["metadata"]["caption"]
    assert (image["data"]["metadata"]["width"], image["data"]["metadata"]["height"]) == (1200, 800)
    thumbnail = stack.api.get(f"/api/images/{image['data']['image_id']}/thumbnails/medium")
    assert thumbnail.headers["content-type"] == "image/jpeg"
