"""`make smoke`: its report about a working stack and about broken ones."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests import pictures
from tests.receiver import receiver
from tests.running_stack import ROOT, Stack, running_stack, until
from tests.smoke_run import is_idle, smoke, smoke_on, steps_of
from tests.stack.breaking_proxy import breaking_proxy

PAGE = "https://gallery.example"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """A stack that requires a key, allows a page of another origin and sends webhooks, and its key."""
    folder = tmp_path_factory.mktemp("locked")
    options = ["--parameter", "ApiKeyRequired=true", "--parameter", f"CorsOrigins={PAGE}"]
    with (
        receiver() as receiving,
        running_stack(
            folder, "--workers", "1", "--model", "demo", "--webhook-url", receiving.url, *options
        ) as stack,
    ):
        key = json.loads((folder / "ready.json").read_text())["api_key"]
        stack.api.headers["X-Api-Key"] = key
        yield stack, key


def everything_in(stack: Stack) -> tuple[list[str], list[str], int]:
    """Return the originals, the thumbnails, and the number of images."""
    listed = stack.s3.list_objects_v2(Bucket=stack.bucket).get("Contents", [])
    return [entry["Key"] for entry in listed], stack.thumbnail_keys(), stack.api.get("/api/stats").json()["total"]


def test_every_step_passes_on_a_working_stack_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    stack.upload(pictures.jpeg(60, 40))  # the stack need not be empty
    until(lambda: is_idle(stack), seconds=60)
    before = everything_in(stack)
    run = smoke_on(stack, tmp_path)
    run.assert_everything_passed()
    assert everything_in(stack) == before
    assert "equal to the objects in the bucket" in run.steps["thumbnails, byte for byte"][1]


def test_a_stack_with_a_key_passes_and_the_report_contains_no_secrets(
    locked: tuple[Stack, str], tmp_path: Path
) -> None:
    stack, key = locked
    run = smoke_on(stack, tmp_path)
    run.assert_everything_passed(skipped=set())
    assert "pages of CorsOrigins may call the API" in run.steps["CORS"][1]
    assert run.steps["webhooks"][1] == "all webhooks are delivered"
    for secret in (key, stack.bucket, stack.thumbnails_bucket, "123456789012", "X-Amz-Signature"):
        assert secret not in run.report + run.output
    assert "demo@" in run.report


def test_an_api_given_by_url_needs_its_key_and_bucket(locked: tuple[Stack, str], tmp_path: Path) -> None:
    stack, key = locked
    api = ["--api", str(stack.api.base_url)]
    refused = smoke(tmp_path, *api)
    assert refused.code == 1
    assert "IMGPIPE_API_KEY" in refused.steps["401 without a key"][1]

    bucket = ["--bucket", stack.bucket, "--endpoint", stack.s3.meta.endpoint_url, "--region", "us-east-1"]
    run = smoke(tmp_path, *api, *bucket, env={"IMGPIPE_API_KEY": key, **CREDENTIALS})
    run.assert_everything_passed(skipped={"webhooks"})
    assert "the thumbnails bucket was not read" in run.steps["thumbnails, byte for byte"][1]


def encode_in_base64(response: httpx.Response) -> None:
    """Behave like an API Gateway that does not decode a function's binary body."""
    if "/thumbnails/" in response.request.url.path and response.status_code == 200:
        response._content = base64.b64encode(response.content)


def refuse_head(response: httpx.Response) -> None:
    if response.request.method == "HEAD":
        response.status_code = 404


def miscount(response: httpx.Response) -> None:
    if response.request.url.path == "/api/stats" and response.status_code == 200:
        stats = response.json()
        response._content = json.dumps(stats | {"success": 7}).encode()


def break_everything(response: httpx.Response) -> None:
    for spoil in (encode_in_base64, refuse_head, miscount):
        spoil(response)


@pytest.mark.slow
def test_errors_of_the_api_are_found_and_do_not_hide_other_steps(stack: Stack, tmp_path: Path) -> None:
    until(lambda: is_idle(stack), seconds=60)
    # The bucket allows uploads from the gallery of its own stack, but not from a page at the proxy's URL.
    with breaking_proxy(str(stack.api.base_url).rstrip("/"), break_everything) as url:
        run = smoke(tmp_path, "--api", url)
    assert run.code == 1
    failures = {name: detail for name, (result, detail) in run.steps.items() if result == "failed"}
    assert set(failures) == {
        "thumbnails, byte for byte",
        "reprocess",
        "statistics count the images",
        "HEAD",
        "CORS",
    }
    assert "base64" in failures["thumbnails, byte for byte"]
    assert "HEAD of /health returned 404" in failures["HEAD"]
    assert "the statistics are" in failures["statistics count the images"]
    assert "the bucket does not let the gallery upload" in failures["CORS"]
    by_url_only = {"drop a file into the bucket", "deletion in the bucket", "webhooks"}
    assert run.named("skipped") == {"401 without a key"} | by_url_only
    assert "--bucket" in run.steps["drop a file into the bucket"][1]
    assert run.steps["nothing is left behind"][0] == "passed"


@pytest.mark.slow
def test_a_stopped_processor_is_found_and_its_images_are_removed(stack: Stack, tmp_path: Path) -> None:
    stack.clear()
    before = everything_in(stack)
    listed = subprocess.run(
        ["pgrep", "-P", str(stack.pid), "-f", "local.worker processor"], capture_output=True, text=True
    )
    pids = [int(pid) for pid in listed.stdout.split()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        run = smoke_on(stack, tmp_path, "--timeout", "1")
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # a processor that is stopped for too long is replaced
                os.kill(pid, signal.SIGCONT)
    assert run.code == 1
    assert run.steps["processing and captions"][0] == "failed"
    assert "still pending" in run.steps["processing and captions"][1]
    assert run.steps["thumbnails, byte for byte"] == ("not run", "no image was processed")
    assert run.steps["nothing is left behind"][0] == "passed", run.output
    until(lambda: everything_in(stack) == before, seconds=60)


@pytest.mark.slow
def test_changes_by_others_are_no_failure(stack: Stack, tmp_path: Path) -> None:
    with started(stack, tmp_path / "report.md") as process:
        wait_for(process, "statistics before")
        of_others = stack.upload(pictures.jpeg(64, 48))
        output = str(process.stdout.read()) if process.stdout else ""
    assert process.returncode == 0, output
    steps = steps_of((tmp_path / "report.md").read_text())
    assert steps["statistics are back"][0] == "skipped"
    assert "others used the stack" in steps["statistics are back"][1]
    assert stack.finished(of_others)["status"] == "success"


def test_ctrl_c_ends_the_smoke_test_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    stack.clear()
    before = everything_in(stack)
    with started(stack, tmp_path / "report.md") as process:
        wait_for(process, "presigned PUT")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert "Interrupted" in (tmp_path / "report.md").read_text()
    until(lambda: everything_in(stack) == before, seconds=60)


@contextmanager
def started(stack: Stack, report: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a smoke test, and wait for its end afterwards."""
    until(lambda: is_idle(stack), seconds=60)
    command = [sys.executable, "-m", "ops", "smoke", "--report", str(report)]
    command += ["--local-file", str(stack.env_file.with_name("stack.json"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate()  # its output must be read until it ends


def wait_for(process: subprocess.Popen[str], step: str) -> None:
    """Wait until that step has ended."""
    assert process.stdout is not None
    assert any(step in line for line in process.stdout)
