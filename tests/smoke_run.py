"""Run `python -m ops smoke` as users do, and parse exit code, output, and the steps of its report."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.running_stack import ROOT, Stack, until

EXPECTED_SKIPS = {"401 without a key", "webhooks"}
"""Skipped on a stack that requires no API key and sends no webhooks."""


@dataclass(frozen=True)
class SmokeRun:
    code: int
    output: str
    report: str
    steps: dict[str, tuple[str, str]]
    """Result and details by the name of the step."""

    def named(self, result: str) -> set[str]:
        return {name for name, (found, _) in self.steps.items() if found == result}

    def assert_everything_passed(self, *, skipped: set[str] = EXPECTED_SKIPS) -> None:
        assert self.code == 0, self.output
        assert self.named("skipped") == skipped, self.output
        assert self.named("passed") == set(self.steps) - skipped
        assert "0 differences from the documentation" in self.output


def smoke(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> SmokeRun:
    report = folder / "smoke-report.md"
    report.unlink(missing_ok=True)
    run = subprocess.run(
        [sys.executable, "-m", "ops", "smoke", "--report", str(report), *arguments],
        cwd=ROOT,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in run.stderr, run.stderr
    text = report.read_text(encoding="utf-8") if report.exists() else ""
    return SmokeRun(run.returncode, run.stdout + run.stderr, text, steps_of(text))


def smoke_on(stack: Stack, folder: Path, *arguments: str) -> SmokeRun:
    """Run the smoke test on a stack that is idle, because the statistics must not change meanwhile."""
    until(lambda: is_idle(stack), seconds=60)
    return smoke(folder, "--local-file", str(stack.env_file.with_name("stack.json")), *arguments)


def is_idle(stack: Stack) -> bool:
    response = stack.api.get("/api/stats")
    return bool(response.status_code == 401 or response.json()["in_progress"] == 0)


def steps_of(report: str) -> dict[str, tuple[str, str]]:
    section = report.partition("## Steps")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    return {name.strip(): (result.strip(), detail.strip()) for name, result, _, detail in rows}
