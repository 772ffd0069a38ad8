"""schemathesis compares the running stack with its own schema, with all checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running_stack import Stack

HERE = Path(__file__).parent
EXAMPLES = 25
LIMIT_SECONDS = 600
"""A generous limit: it takes about a minute on two cores."""


@pytest.mark.slow
def test_schemathesis_finds_nothing(stack: Stack, tmp_path: Path) -> None:
    schemathesis = Path(sys.executable).with_name("schemathesis")
    command = [str(schemathesis), "--config-file", str(HERE / "schemathesis.toml"), "--no-color", "run"]
    command += [f"{str(stack.api.base_url).rstrip('/')}/openapi.json", "--checks", "all"]
    command += ["--max-examples", str(EXAMPLES), "--generation-deterministic"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=tmp_path, check=False)
    print(ran.stdout[-3000:])
    assert ran.returncode == 0, ran.stdout
    cases = re.search(r"([\d,]+) generated", ran.stdout)
    assert cases and int(cases[1].replace(",", "")) > 300
    operations = re.search(r"Tested: (\d+)", ran.stdout)
    schema = stack.api.get("/openapi.json").json()
    assert operations and int(operations[1]) == sum(len(methods) for methods in schema["paths"].values())
    stack.assert_statistics_are_exact()
