"""`python -m local --emulator ministack` with the real functions: which data survive a stop and a kill."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import pictures
from tests.ministack import needs_ministack
from tests.running_stack import Stack, running_stack, until
from tests.smoke_run import smoke_on

pytestmark = needs_ministack

OPTIONS = ("--emulator", "ministack", "--model", "demo", "--workers", "1", "--sweep-seconds", "1")


def described(stack: Stack) -> dict[str, Any]:
    return dict(json.loads(stack.env_file.with_name("ready.json").read_text()))


def record_of(stack: Stack, image_id: str) -> str:
    """Return everything that the API says about an image, without the API's address."""
    return json.dumps(stack.image(image_id)).replace(str(stack.api.base_url), "http://api")


def thumbnail(stack: Stack, image_id: str) -> bytes:
    response = stack.api.get(f"/api/images/{image_id}/thumbnails/small")
    assert response.status_code == 200
    return response.content


def visibility_timeout(stack: Stack) -> str:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    sqs = boto3.client("sqs", endpoint_url=stack.s3.meta.endpoint_url, **keys)
    name = "VisibilityTimeout"
    response = sqs.get_queue_attributes(QueueUrl=described(stack)["queue_url"], AttributeNames=[name])
    return str(response["Attributes"][name])


def kill(stack: Stack) -> None:
    """Send SIGKILL to all processes of the stack, first to the emulator."""
    pids = described(stack)["pids"]
    for pid in (pid for name in ("aws", "api", "processor", "recovery", "stream") for pid in pids[name]):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_all_data_survive_a_restart_and_all_except_texts_survive_a_kill(tmp_path: Path) -> None:
    with running_stack(tmp_path, *OPTIONS) as stack:
        first = stack.upload(pictures.jpeg(400, 300))
        second = stack.upload(pictures.jpeg(300, 400))
        assert {stack.finished(image_id)["status"] for image_id in (first, second)} == {"success"}
        assert stack.api.patch(f"/api/images/{first}", json={"title": "A title"}).status_code == 200
        before, small = record_of(stack, first), thumbnail(stack, first)

    # Start again with the same data.
    with running_stack(tmp_path, *OPTIONS, "--timing", "Processor.VisibilityTimeout=45") as stack:
        assert not described(stack)["is_recovered"]
        assert record_of(stack, first) == before
        assert thumbnail(stack, first) == small
        stack.assert_statistics_are_exact()
        assert visibility_timeout(stack) == "45"
        assert stack.api.patch(f"/api/images/{first}", json={"title": "Another title"}).status_code == 200
        uploaded = [stack.upload(pictures.jpeg(900 + n, 600), f"{n}.jpg") for n in range(8)]
        until(lambda: stack.api.get("/api/stats").json()["success"] >= 4, seconds=60)
        deleted = [second, uploaded.pop(0)]
        for image_id in deleted:
            assert stack.api.delete(f"/api/images/{image_id}").status_code == 204
        kill(stack)

    with running_stack(tmp_path, *OPTIONS) as stack:
        assert described(stack)["is_recovered"]
        for image_id in uploaded:
            assert stack.finished(image_id)["status"] == "success"
            assert thumbnail(stack, image_id)
        assert stack.image(first)["data"]["title"] == "A title"
        assert {stack.api.get(f"/api/images/{image_id}").status_code for image_id in deleted} == {404}
        assert len(stack.images()) == 1 + len(uploaded)
        stack.assert_statistics_are_exact()


def test_the_smoke_test_passes(tmp_path: Path) -> None:
    with running_stack(tmp_path, *OPTIONS) as stack:
        smoke_on(stack, tmp_path).assert_everything_passed()
