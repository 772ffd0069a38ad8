"""Downloads from the hub: only the needed files, and clear errors if the hub does not respond."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from image_processor.captioning.model_folder import read_manifest
from models.fetch import REPOSITORY, needed
from tests.models.checkpoints import EXPORT_WITHOUT_TORCH
from tests.models.fake_hub import REVISION, serve

REPOSITORY_ROOT = Path(__file__).parents[2]


def from_hub(address: str, target: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # huggingface_hub reads its address during import.
    return subprocess.run(
        [sys.executable, "-c", EXPORT_WITHOUT_TORCH, "--to", str(target), *arguments],
        env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"},
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_an_unreachable_hub_has_its_own_exit_code(tmp_path: Path) -> None:
    output = from_hub("http://127.0.0.1:9", tmp_path / "exported", tmp_path / "cache")

    assert output.returncode == 3
    assert f"cannot fetch {REPOSITORY}@{REVISION}" in output.stderr
    assert "--from FOLDER" in output.stderr
    assert "Traceback" not in output.stderr
    assert not (tmp_path / "exported").exists()


def test_the_model_is_fetched_from_the_hub_without_unneeded_files(checkpoint: Path, tmp_path: Path) -> None:
    repository = Path(shutil.copytree(checkpoint, tmp_path / "repository"))
    for name in ("tf_model.h5", "README.md", ".gitattributes"):
        (repository / name).write_text("not needed")

    with serve(REPOSITORY, repository) as (address, fetched):
        output = from_hub(address, tmp_path / "exported", tmp_path / "cache")

    assert output.returncode == 0, output.stderr
    assert sorted(fetched) == sorted(path.name for path in checkpoint.iterdir())
    manifest = read_manifest(tmp_path / "exported")
    assert manifest.model == f"{REPOSITORY}@{REVISION}"
    assert manifest.license == "BSD-3-Clause"
    assert manifest.checkpoint is not None
    assert {name: entry.sha256 for name, entry in manifest.checkpoint.items()} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoint.iterdir()
    }


def test_a_branch_is_recorded_as_its_commit(checkpoint: Path, tmp_path: Path) -> None:
    with serve(REPOSITORY, checkpoint) as (address, _):
        output = from_hub(address, tmp_path / "exported", tmp_path / "cache", "--revision", "main")

    assert output.returncode == 0, output.stderr
    assert read_manifest(tmp_path / "exported").revision == REVISION


@pytest.mark.parametrize(
    ("name", "kind"), [("pytorch_model.bin", "SHA-256"), ("config.json", "git blob id")], ids=["large", "small"]
)
def test_a_file_with_a_wrong_checksum_is_refused_and_downloaded_again(
    checkpoint: Path, tmp_path: Path, name: str, kind: str
) -> None:
    content = bytearray((checkpoint / name).read_bytes())
    content[-20] ^= 1
    damaged = {name: bytes(content)}
    target, cache = tmp_path / "exported", tmp_path / "cache"

    with serve(REPOSITORY, checkpoint, damaged) as (address, fetched):
        output = from_hub(address, target, cache)
        assert output.returncode == 1
        assert f"{name} is not what the hub has: its {kind}" in output.stderr
        assert not target.exists()

        damaged.clear()
        fetched.clear()
        assert from_hub(address, target, cache).returncode == 0
        assert fetched == [name]


def test_weights_are_fetched_in_one_format() -> None:
    files = ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "vocab.txt"]

    assert needed(files) == ["config.json", "vocab.txt", "model.safetensors"]
    assert needed([name for name in files if "safe" not in name]) == [
        "config.json",
        "vocab.txt",
        "pytorch_model.bin",
    ]
