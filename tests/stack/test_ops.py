"""`python -m ops` as an engineer runs it, against the running stack."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from local.stack_files import StackFiles
from tests import pictures
from tests.running_stack import ROOT, Stack, until


def ops(stack: Stack, folder: Path, command: str, *arguments: str) -> tuple[int, str]:
    """Run `python -m ops` and return its exit code and output."""
    described = stack.env_file.with_name("stack.json")
    run = subprocess.run(
        [sys.executable, "-m", "ops", command, "--local-file", str(described), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, run.stdout + run.stderr


def reconcile(stack: Stack, folder: Path, *arguments: str) -> tuple[int, Any]:
    """Run `python -m ops reconcile` on objects of any age, and return its exit code and report."""
    report = folder / "report.json"
    given = ["--min-age", "0", "--report", str(report), "--state", str(folder / "state.json"), *arguments]
    code, output = ops(stack, folder, "reconcile", *given)
    assert report.exists(), output
    return code, json.loads(report.read_text())


def put_without_notifications(stack: Stack, bodies: dict[str, bytes]) -> None:
    """Put objects into the uploads bucket without notifications."""
    configuration = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)
    configuration.pop("ResponseMetadata")
    stack.s3.put_bucket_notification_configuration(Bucket=stack.bucket, NotificationConfiguration={})
    try:
        for key, body in bodies.items():
            stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=body)
    finally:
        stack.s3.put_bucket_notification_configuration(Bucket=stack.bucket, NotificationConfiguration=configuration)


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_an_existing_bucket_is_imported(stack: Stack, tmp_path: Path, count: int) -> None:
    body = pictures.jpeg(320, 240)
    keys = {f"backfill of {count}/{number:03} é+%.jpg": body for number in range(count)}
    put_without_notifications(stack, keys)
    before = stack.api.get("/api/stats").json()

    code, report = reconcile(stack, tmp_path)
    assert (code, report["differences"]["image_without_record"]["found"]) == (1, count)
    assert stack.api.get("/api/stats").json()["total"] == before["total"]

    code, report = reconcile(stack, tmp_path, "--apply")
    assert (code, report["differences"]["image_without_record"]["repaired"]) == (0, count)

    def all_are_images() -> bool:
        stats = stack.api.get("/api/stats").json()
        return bool(stats["success"] - before["success"] == count and stats["in_progress"] == 0)

    until(all_are_images, seconds=60 + count)
    stack.assert_statistics_are_exact()
    code, report = reconcile(stack, tmp_path)
    assert (code, report["clean"], report["counters"]["state"]) == (0, True, "equal")


def test_another_bucket_is_imported(stack: Stack, tmp_path: Path) -> None:
    source = f"photos-{uuid.uuid4().hex[:8]}"
    stack.s3.create_bucket(Bucket=source)
    names = [f"{source} {number} é+%.jpg" for number in range(3)]
    for name in names:
        stack.s3.put_object(Bucket=source, Key=f"2024/{name}", Body=pictures.jpeg(320, 240))
    stack.s3.put_object(Bucket=source, Key="2024/notes.txt", Body=b"a text")
    state = ["--state", str(tmp_path / "state.json")]

    code, output = ops(stack, tmp_path, "import", "--bucket", source, "--prefix", "2024/", *state)
    assert (code, "4 objects listed, 3 to import" in output, "--apply copies them" in output) == (0, True, True)

    for copied in (3, 0):
        code, output = ops(stack, tmp_path, "import", "--bucket", source, "--apply", *state)
        assert (code, f"Objects copied: {copied} (" in output) == (0, True), output
        for name in names:
            image = stack.dropped(name)
            assert (image["status"], bool(image["data"]["metadata"]["caption"])) == ("success", True)
    imported = [image for image in stack.images() if image["data"]["original_name"] in names]
    assert len(imported) == 3
    stack.assert_statistics_are_exact()

    code, output = ops(stack, tmp_path, "import", "--bucket", "no-such-bucket")
    assert (code, output.count("\n")) == (2, 1)


def test_failed_images_can_be_reprocessed_by_error_code(stack: Stack, tmp_path: Path) -> None:
    image_id = stack.upload(b"\xff\xd8\xff" + b"garbage" * 50)
    assert stack.finished(image_id)["error"]["code"] == "corrupt_image"
    code, output = ops(stack, tmp_path, "reprocess", "--code", "corrupt_image")
    assert (code, "nothing was changed" in output) == (0, True)
    first = stack.image(image_id)["data"]["processed_at"]
    code, output = ops(stack, tmp_path, "reprocess", "--code", "corrupt_image", "--apply")
    assert code == 0 and "reprocessed" in output
    until(
        lambda: (i := stack.image(image_id))["status"] == "failed" and i["data"]["processed_at"] != first,
        seconds=30,
    )
    stack.api.delete(f"/api/images/{image_id}")


def test_captions_of_another_model_are_found_and_a_local_stack_has_no_cost(stack: Stack, tmp_path: Path) -> None:
    name = f"{uuid.uuid4().hex[:8]}.jpg"
    image_id = stack.upload(pictures.jpeg(321, 240), name)
    assert stack.finished(image_id)["status"] == "success"
    code, output = ops(stack, tmp_path, "reprocess", "--model-not", "current")
    assert (code, " 0 match" in output) == (0, True), output
    query = ["--query", f'"{name}"']
    until(lambda: " 1 match" in ops(stack, tmp_path, "reprocess", "--model-not", "another", *query)[1], seconds=30)
    code, output = ops(stack, tmp_path, "reprocess", "--model-not", "another", *query)
    for text in ("1 of them are by the current model already", "Time: about 1 s (1 image ×", "Cost: none"):
        assert text in output
    thumbnails = stack.image(image_id)["data"]["thumbnails"]
    code, output = ops(stack, tmp_path, "reprocess", "--model-not", "another", *query, "--apply")
    assert (code, "1 reprocessed" in output) == (0, True), output
    until(
        lambda: (image := stack.image(image_id))["status"] == "success" and image["data"]["generation"] == 2,
        seconds=30,
    )
    assert stack.image(image_id)["data"]["thumbnails"] == thumbnails
    stack.api.delete(f"/api/images/{image_id}")


def test_a_missing_stack_is_reported_in_one_line(stack: Stack, tmp_path: Path) -> None:
    code, output = ops(stack, tmp_path, "reconcile", "--local-file", str(tmp_path / "none.json"))
    assert (code, output.count("\n")) == (2, 1)
    described = json.loads(stack.env_file.with_name("stack.json").read_text())
    described["settings"]["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    files = StackFiles(tmp_path / "env.json", api_url="")
    files.write(env={}, description=described)
    code, output = ops(stack, tmp_path, "reconcile", "--local-file", str(files.description))
    assert code == 3 and "Could not connect" in output
    assert "Could not check everything; see the message above." in output
    files.remove()
    code, output = ops(stack, tmp_path, "reconcile", "--local-file", str(files.description))
    assert (code, output.count("\n")) == (2, 1)


def test_redrive_refuses_a_stack_that_sends_no_webhooks(stack: Stack, tmp_path: Path) -> None:
    code, output = ops(stack, tmp_path, "redrive")
    assert code == 2
    assert "its WebhookUrl is empty" in output
