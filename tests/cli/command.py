"""Run imgpipe as users do, as a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"
"""The id of an image that exists only in planned responses."""


@dataclass(frozen=True)
class Run:
    """Exit code and output of a finished command."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        """Parse stdout as JSON, one document on each line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        (found,) = self.documents
        return found

    @property
    def rows(self) -> list[list[str]]:
        """Parse stdout as rows of cells."""
        return [line.split("\t") for line in self.out.splitlines()]


class Process(subprocess.Popen[bytes]):
    """A running command. As a context manager, it kills the command if the test fails."""

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind:
            self.kill()
        super().__exit__(kind, *rest)


class Imgpipe:
    """Runs imgpipe against one API, with a separate journal and environment."""

    def __init__(self, api: str, journal: Path, **environment: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("IMGPIPE_")}
        self.environment = {
            **inherited,
            "IMGPIPE_API": api,
            "IMGPIPE_JOURNAL": str(journal),
            "NO_PROXY": "127.0.0.1",
            "PYTHONUTF8": "1",
            **environment,
        }

    def __call__(
        self, *arguments: str | Path, code: int | None = 0, stdin: str = "", cwd: Path | None = None
    ) -> Run:
        """Run a command to its end, in `cwd` if given, and assert its exit code."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=cwd,
            input=stdin.encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        run = Run(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert code is None or run.code == code, run
        return run

    def start(self, *arguments: str | Path) -> Process:
        """Start a command and return its process."""
        return Process(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "imgpipe", *map(str, arguments)]
