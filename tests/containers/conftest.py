"""`sam build` and `sam local`. They need Docker, and the Lambda base image if AWS cannot be reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running_stack import ROOT, Stack, running_stack

SAM = Path(sys.executable).with_name("sam")
PROCESSOR_IMAGE = "processorfunction:processor"


def sam_environment() -> dict[str, str]:
    """Put Python 3.13, which `sam build` needs, on PATH, with pyenv if it is installed that way."""
    shims = Path.home() / ".pyenv" / "shims"
    # The containers must not use the developer's region or profile.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return plain | {
        "SAM_CLI_TELEMETRY": "0",
        "PYENV_VERSION": os.environ.get("SAM_PYENV_VERSION", "3.13.0"),
        "PATH": f"{shims}:{os.environ['PATH']}" if shims.is_dir() else os.environ["PATH"],
    }


def sam(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `sam` in the repository. Fails with its output."""
    done = subprocess.run(
        [str(SAM), *arguments], cwd=ROOT, env=sam_environment(), capture_output=True, text=True, **options
    )
    assert done.returncode == 0, f"sam {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def built() -> str:
    """Everything built by `sam build`. Returns the name of the processor's image."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip("no Docker engine answers")
    sam("build")
    return PROCESSOR_IMAGE


@pytest.fixture(scope="session")
def stack(built: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that containers can reach, and whose messages only they receive."""
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(folder, "--containers", "--workers", "0") as stack:
        yield stack
