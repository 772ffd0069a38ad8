"""A stack as `make run` starts it, whose workers are killed repeatedly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import pictures
from tests.running_stack import ROOT, running_stack, until

UPLOADS = 50
KILLS = 10
SECONDS = 240


@pytest.mark.slow
def test_fifty_uploads_survive_ten_kills_of_their_workers(tmp_path: Path) -> None:
    with running_stack(tmp_path, "--model", "demo") as stack:
        began = time.monotonic()
        ids = [stack.upload(pictures.jpeg(1200, 800), f"{number}.jpg") for number in range(UPLOADS)]

        def done() -> int:
            stats = stack.api.get("/api/stats").json()
            return int(stats["success"] + stats["failed"])

        killed_at_work = 0
        for _ in range(KILLS):
            before = done()
            # The replacements of the workers that were killed last are running and have work left.
            until(lambda seen=before: done() > seen or seen == UPLOADS, seconds=SECONDS)  # type: ignore[misc]
            killed_at_work += done() < UPLOADS
            until(stack.kill_processors, seconds=60)

        until(lambda: done() == UPLOADS, seconds=SECONDS)
        took = time.monotonic() - began

        assert took < SECONDS
        assert killed_at_work >= KILLS // 2
        assert {stack.image(i)["status"] for i in ids} == {"success"}
        stack.assert_statistics_are_exact()
        report = tmp_path / "report.json"
        command = [sys.executable, "-m", "ops", "reconcile", "--min-age", "0", "--report", str(report)]
        command += ["--local-file", str(stack.env_file.with_name("stack.json"))]
        reconciled = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
        assert json.loads(report.read_text())["clean"]
        print(f"{UPLOADS} uploads, {KILLS} kills ({killed_at_work} at work), all done after {took:.0f} s")
