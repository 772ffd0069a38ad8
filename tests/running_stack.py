"""The complete stack as users start it: `python -m local` in a separate process, on free ports; and its clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

ROOT = Path(__file__).parents[1]
START_SECONDS = 120
STOP_SECONDS = 90
FINISHED = ("success", "failed")


@dataclass(frozen=True)
class Stack:
    """A running stack, as its clients see it."""

    api: httpx.Client
    s3: Any
    bucket: str
    thumbnails_bucket: str
    env_file: Path
    pid: int

    def upload(self, body: bytes, name: str = "photo.jpg") -> str:
        response = self.api.post("/api/images", files={"file": (name, body)})
        assert response.status_code == 202, response.text
        return str(response.json()["image_id"])

    def image(self, image_id: str) -> dict[str, Any]:
        return dict(self.api.get(f"/api/images/{image_id}").json())

    def images(self) -> list[dict[str, Any]]:
        """Return all images, from all pages."""
        found: list[dict[str, Any]] = []
        parameters: dict[str, Any] = {"limit": 100}
        while True:
            page = self.api.get("/api/images", params=parameters).json()
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            parameters["cursor"] = page["next_cursor"]

    def clear(self) -> None:
        """Delete all images."""
        for image in self.images():
            self.api.delete(f"/api/images/{image['data']['image_id']}")

    def finished(self, image_id: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait until the image is `success` or `failed`, and return it."""
        return until(lambda: (i := self.image(image_id))["status"] in FINISHED and i, seconds=seconds)

    def dropped(self, name: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait for the finished image of a file that was dropped under a key that ends in `name`, and return it."""

        def find() -> Any:
            return next(
                (i for i in self.images() if i["data"]["original_name"] == name and i["status"] in FINISHED), None
            )

        return until(find, seconds=seconds)

    def assert_statistics_are_exact(self) -> None:
        """Assert that the counters equal a recount of the list."""
        statuses = Counter(image["status"] for image in self.images())
        stats = self.api.get("/api/stats").json()
        assert stats["total"] == sum(statuses.values())
        assert stats["success"] == statuses["success"]
        assert stats["failed"] == statuses["failed"]

    def kill_processors(self) -> int:
        """Send SIGKILL to every processor of this stack.

        Returns how many there were. It finds them by their command line, as a person would.
        """
        command = ["pgrep", "-P", str(self.pid), "-f", "local.worker processor"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        pids = [int(pid) for pid in listed.stdout.split()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return len(pids)

    def thumbnail_keys(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.thumbnails_bucket).get("Contents", [])
        return [entry["Key"] for entry in listed]


def until(check: Callable[[], Any], *, seconds: float) -> Any:
    """Call `check` until it returns a true value, and return that value."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {seconds} s")
        time.sleep(0.1)  # between two checks


@contextmanager
def running_stack(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Start a stack with these options and stop it afterwards.

    Prints its log, which pytest shows if a test fails.
    """
    ready, log, env_file = folder / "ready.json", folder / "log", folder / "env.json"
    ready.unlink(missing_ok=True)  # of an earlier stack in this folder
    command = [sys.executable, "-m", "local", "--port", "0", "--aws-port", "0"]
    command += ["--ready-file", str(ready), "--env-file", str(env_file), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: ready.exists() or process.poll() is not None, seconds=START_SECONDS)
        assert process.poll() is None, log.read_text()
        running = json.loads(ready.read_text())
        with httpx.Client(base_url=running["api_url"], timeout=60, trust_env=False) as api:
            yield Stack(
                api=api,
                s3=boto3.client(
                    "s3",
                    endpoint_url=running["aws_endpoint_url"],
                    region_name=running["region"],
                    aws_access_key_id="test",
                    aws_secret_access_key="test",
                ),
                bucket=running["uploads_bucket_name"],
                thumbnails_bucket=running["thumbnails_bucket_name"],
                env_file=env_file,
                pid=process.pid,
            )
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        print(log.read_text()[-5000:])
