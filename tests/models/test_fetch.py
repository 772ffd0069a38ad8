"""Fetching from the hub: what is needed, and a clear word where it does not answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from image_processor.captioning.model_folder import read_manifest
from models.fetch import REPOSITORY, needed
from tests.models.fake_hub import REVISION, serve

REPOSITORY_ROOT = Path(__file__).parents[2]


def from_hub(address: str, target: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    # huggingface_hub reads its address while it is imported.
    return subprocess.run(
        [sys.executable, "-m", "models.export", "--to", str(target)],
        env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"},
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_hub_that_cannot_be_reached_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    output = from_hub("http://127.0.0.1:9", tmp_path / "exported", tmp_path / "cache")

    assert output.returncode == 3
    assert f"cannot fetch {REPOSITORY}@{REVISION}" in output.stderr
    assert "--from FOLDER" in output.stderr
    assert "Traceback" not in output.stderr
    assert not (tmp_path / "exported").exists()


def test_the_model_is_fetched_from_the_hub_but_not_what_is_not_needed(checkpoint: Path, tmp_path: Path) -> None:
    repository = Path(shutil.copytree(checkpoint, tmp_path / "repository"))
    for name in ("tf_model.h5", "README.md", ".gitattributes"):
        (repository / name).write_text("not needed")

    with serve(REPOSITORY, repository) as (address, fetched):
        output = from_hub(address, tmp_path / "exported", tmp_path / "cache")

    assert output.returncode == 0, output.stderr
    assert sorted(fetched) == sorted(path.name for path in checkpoint.iterdir())
    manifest = read_manifest(tmp_path / "exported")
    assert manifest.model == f"{REPOSITORY}@{REVISION}"
    assert manifest.licence == "BSD-3-Clause"


def test_weights_are_fetched_in_one_format() -> None:
    files = ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "vocab.txt"]

    assert needed(files) == ["config.json", "vocab.txt", "model.safetensors"]
    assert needed([name for name in files if "safe" not in name]) == [
        "config.json",
        "vocab.txt",
        "pytorch_model.bin",
    ]
