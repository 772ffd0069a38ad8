"""A client that openapi-python-client generates from the stack's schema uploads, waits and downloads."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests import pictures
from tests.running_stack import Stack

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the generator."""
    folder = tmp_path_factory.mktemp("generator")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    requirements = HERE / "requirements-generator.txt"
    subprocess.run([str(folder / "bin" / "pip"), "install", "-q", "-r", str(requirements)], check=True)
    return folder / "bin"


@pytest.mark.slow
def test_a_generated_client_uploads_waits_and_downloads(stack: Stack, generator: Path, tmp_path: Path) -> None:
    photo, schema = tmp_path / "my photo é.jpg", tmp_path / "openapi.json"
    photo.write_bytes(pictures.jpeg(640, 480))
    schema.write_bytes(stack.api.get("/openapi.json").content)
    environment = {**os.environ, "PATH": f"{generator}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}
    command = [str(generator / "openapi-python-client"), "generate", "--path", str(schema), "--meta", "none"]
    command += ["--config", str(HERE / "generator.yaml"), "--output-path", str(tmp_path / "generated")]
    generated = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    output = generated.stdout + generated.stderr
    print(output)
    assert generated.returncode == 0
    assert "warning" not in output.lower()

    script = [str(generator / "python"), str(HERE / "with_generated_client.py")]
    script += [str(stack.api.base_url).rstrip("/"), str(photo), str(tmp_path)]
    ran = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120, check=False)
    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0
    assert Image.open(BytesIO((tmp_path / "small").read_bytes())).size == (150, 112)
    assert (tmp_path / "original").read_bytes() == photo.read_bytes()
    stack.assert_statistics_are_exact()
