"""The first `make run`: it starts with the demo model, and uses the real one as soon as it is downloaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.template import ROOT
from models.fetch import REPOSITORY
from models.random_checkpoint import write_random_checkpoint
from tests import pictures
from tests.models.checkpoints import HUB_LAYOUT
from tests.models.fake_hub import REVISION, SlowConnection, serve
from tests.running_stack import Stack, running_stack, until

pytest.importorskip("torch", reason="writes a checkpoint with torch")

REAL_MODEL = f"{REPOSITORY}@{REVISION}"
BYTES_AT_FIRST = 12_000_000  # huggingface_hub stores downloads in steps of 10 MiB


@pytest.fixture
def slow_connection() -> SlowConnection:
    return SlowConnection(BYTES_AT_FIRST)


@pytest.fixture
def environment(tmp_path: Path, slow_connection: SlowConnection) -> Iterator[dict[str, str]]:
    """The environment of a machine that has only the demo model and reaches a hub over a slow connection."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "demo").symlink_to(ROOT / "models" / "demo")
    write_random_checkpoint(tmp_path / "checkpoint", HUB_LAYOUT)
    with serve(REPOSITORY, tmp_path / "checkpoint", slow_connection=slow_connection) as (address, _):
        yield {
            **os.environ,
            "MODELS_DIR": str(models),
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
        }


def next_model(stack: Stack) -> Any:
    return stack.api.get("/health").json()["next_caption_model"]


def caption_model(image: dict[str, Any]) -> str:
    return str(image["data"]["metadata"]["caption_model"])


class Uploads:
    """A client that uploads one picture after another until `stop` is called."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._ids = self._pool.submit(self._upload)

    def _upload(self) -> list[str]:
        ids = []
        while not self._stopping.wait(1.0):
            ids.append(self._stack.upload(pictures.jpeg(64 + len(ids), 48)))
        return ids

    def stop(self) -> list[str]:
        """Return the ids of the uploaded images. Raises the error of a failed upload."""
        self._stopping.set()
        self._pool.shutdown()
        return self._ids.result()


@pytest.mark.slow
def test_images_are_captioned_again_after_the_real_model_was_downloaded(
    tmp_path: Path, environment: dict[str, str], slow_connection: SlowConnection
) -> None:
    options = ("--model", "auto", "--workers", "2")
    with running_stack(tmp_path, *options, env=environment) as stack:
        image = stack.finished(stack.upload(pictures.jpeg(60, 40)))
        assert "demo" in caption_model(image)
        until(lambda: (coming := next_model(stack)) and coming["percent"] > 40, seconds=60)
        assert next_model(stack)["name"] == REPOSITORY
        banner = (tmp_path / "log").read_text()
        assert "names colors and simple shapes only, until BLIP is downloaded, in the background" in banner

    # Ctrl-C interrupted the download halfway. The next start resumes it.
    (tmp_path / "ready.json").unlink()
    asked_before = len(slow_connection.starts)
    with running_stack(tmp_path, *options, env=environment) as stack:
        until(lambda: len(slow_connection.starts) > asked_before, seconds=60)
        assert 0 < slow_connection.starts[-1] <= BYTES_AT_FIRST
        early = stack.finished(stack.upload(pictures.jpeg(60, 40)))
        assert "demo" in caption_model(early)
        thumbnails = stack.thumbnail_keys()

        uploads = Uploads(stack)
        slow_connection.released.set()
        until(lambda: stack.api.get("/health").json()["caption_model"] == REAL_MODEL, seconds=120)
        ids = uploads.stop()
        assert next_model(stack) is None

        def all_have_new_captions() -> bool:
            images = stack.images()
            return all(one["status"] == "success" and caption_model(one) == REAL_MODEL for one in images)

        until(all_have_new_captions, seconds=180)
        assert {one["data"]["image_id"] for one in stack.images()} == {early["data"]["image_id"], *ids}
        assert set(thumbnails) <= set(stack.thumbnail_keys()), "thumbnails must not be made again"
        stack.assert_statistics_are_exact()


def test_without_a_hub_it_reports_the_error_and_waits_only_if_requested(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "demo").symlink_to(ROOT / "models" / "demo")
    environment = {**os.environ, "MODELS_DIR": str(models), "HF_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "local", "--port", "0", "--aws-port", "0", "--model", "blip"]
    command += ["--env-file", str(tmp_path / "env.json")]

    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    assert ended.returncode == 1
    assert "the Hugging Face hub cannot be reached; MODEL=auto starts on the demo model" in ended.stderr

    with running_stack(tmp_path, "--workers", "1", env=environment) as stack:
        assert "demo" in caption_model(stack.finished(stack.upload(pictures.jpeg(60, 40))))
        until(lambda: "the demo model stays in use" in (tmp_path / "log").read_text(), seconds=60)
