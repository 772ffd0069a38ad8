"""Checkpoints that cannot be exported: said at once, by name, with nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.export import main
from tests.models.checkpoints import edited


def refused(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    config: Callable[[dict[str, Any]], object],
) -> str:
    """What is printed on the attempt to export a checkpoint with another configuration."""
    source = edited(checkpoint, tmp_path, config=config)
    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert not (tmp_path / "exported").exists()
    printed = capsys.readouterr().err
    assert str(source) in printed
    return printed


def test_another_kind_of_model_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def for_questions(config: dict[str, Any]) -> None:
        config["architectures"] = ["BlipForQuestionAnswering"]

    assert "BlipForQuestionAnswering" in refused(checkpoint, tmp_path, capsys, for_questions)


@pytest.mark.parametrize("changes", [{"model_type": "bert"}, {"architectures": None}, {"architectures": "Blip"}])
def test_a_configuration_of_something_else_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object]
) -> None:
    assert "is not a BLIP captioning checkpoint" in refused(
        checkpoint, tmp_path, capsys, lambda config: config.update(changes)
    )


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_configuration_that_cannot_be_read_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    source = edited(checkpoint, tmp_path)
    (source / "config.json").write_text(content)

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert f"{source} is not a BLIP captioning checkpoint" in capsys.readouterr().err


def test_another_activation_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def quick(config: dict[str, Any]) -> None:
        config["vision_config"]["hidden_act"] = "quick_gelu"

    assert "activation quick_gelu" in refused(checkpoint, tmp_path, capsys, quick)


def test_more_layers_than_weights_are_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def deeper(config: dict[str, Any]) -> None:
        config["text_config"]["num_hidden_layers"] += 1

    assert "lacks weights" in refused(checkpoint, tmp_path, capsys, deeper)


def test_an_image_processor_for_another_size_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = edited(checkpoint, tmp_path)
    path = source / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": {"height": 224, "width": 224}}))

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert "preprocessor_config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "missing", ["config.json", "pytorch_model.bin", "tokenizer.json", "preprocessor_config.json"]
)
def test_a_checkpoint_that_is_not_whole_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    source = edited(checkpoint, tmp_path)
    (source / missing).unlink()
    if missing == "tokenizer.json":
        (source / "vocab.txt").unlink()

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert str(source) in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from", str(tmp_path / "nowhere"), "--to", str(tmp_path / "exported")]) == 1
    assert "nowhere" in capsys.readouterr().err
