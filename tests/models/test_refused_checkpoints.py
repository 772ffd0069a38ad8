"""Checkpoints that cannot be exported are refused at once, with the reason, and nothing is written."""

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
    """Try to export a checkpoint with another configuration, and return what is printed."""
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
def test_an_unreadable_configuration_is_refused(
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

    assert "vision_config.hidden_act = 'quick_gelu'" in refused(checkpoint, tmp_path, capsys, quick)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("vision_config", {"image_size": [96, 96]}, "vision_config.image_size"),
        ("vision_config", {"patch_size": 18}, "not a multiple of its patch_size"),
        ("vision_config", {"num_attention_heads": 3}, "heads do not divide"),
        ("vision_config", {"num_hidden_layers": 1_000_000_000}, "vision_config.num_hidden_layers"),
        ("text_config", {"num_attention_heads": 32}, "multiple of 8"),
        ("text_config", {"is_decoder": False}, "text_config.is_decoder"),
        ("text_config", {"sep_token_id": None}, "text_config.sep_token_id"),
        ("text_config", {"vocab_size": 30_000}, "word_embeddings.weight has the shape (30524, 128)"),
        ("text_config", {"intermediate_size": 512}, "intermediate.dense.weight has the shape (256, 128)"),
    ],
)
def test_a_configuration_that_the_graphs_do_not_support_is_refused(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str,
    changes: dict[str, object],
    message: str,
) -> None:
    assert message in refused(checkpoint, tmp_path, capsys, lambda config: config[part].update(changes))


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
    ("changes", "message"),
    [
        ({"do_normalize": False}, "do_normalize = False"),
        ({"resample": 2}, "resample = 2"),
        ({"rescale_factor": 0.5}, "rescale_factor = 0.5"),
        ({"size": {"shortest_edge": 96}}, "does not fit the model"),
    ],
)
def test_other_preprocessing_is_refused(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    message: str,
) -> None:
    source = edited(checkpoint, tmp_path)
    path = source / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "missing", ["config.json", "pytorch_model.bin", "tokenizer.json", "preprocessor_config.json"]
)
def test_an_incomplete_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    source = edited(checkpoint, tmp_path)
    (source / missing).unlink()
    if missing == "tokenizer.json":
        (source / "vocab.txt").unlink()

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert str(source) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "tokenizer.json"])
def test_the_error_for_an_invalid_file_names_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = edited(checkpoint, tmp_path)
    (source / name).write_bytes(b"garbage")

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert str(source) in (printed := capsys.readouterr().err)
    assert name.partition(".")[0] in printed


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "index.json cannot be read"),
        ('{"weight_map": {"a": "../../etc/passwd"}}', "outside the folder"),
        ('{"weight_map": {"a": "part-1.bin"}}', "part-1.bin is missing"),
    ],
)
def test_an_index_of_missing_parts_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], index: str, message: str
) -> None:
    source = edited(checkpoint, tmp_path)
    (source / "pytorch_model.bin").unlink()
    (source / "pytorch_model.bin.index.json").write_text(index)

    assert main(["--from", str(source), "--to", str(tmp_path / "exported")]) == 1
    assert message in capsys.readouterr().err


def test_the_error_for_a_missing_folder_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from", str(tmp_path / "nowhere"), "--to", str(tmp_path / "exported")]) == 1
    assert "nowhere" in capsys.readouterr().err
