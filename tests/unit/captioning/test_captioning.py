"""The captioning package: captions, the choice of the model folder, and the cost of its import."""

import subprocess
import sys
from pathlib import Path

import pytest

from image_core.errors import ModelError
from image_processor.captioning import Caption, find_model_dir, load_captioner
from image_processor.captioning.caption import caption_of


def put_manifest(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    return folder


def test_the_exported_model_comes_first(tmp_path: Path) -> None:
    put_manifest(tmp_path / "demo" / "exported")
    exported = put_manifest(tmp_path / "exported")
    assert find_model_dir(tmp_path) == exported


def test_the_demo_model_is_used_if_nothing_is_exported(tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    demo = put_manifest(tmp_path / "demo" / "exported")
    assert find_model_dir(tmp_path) == demo


def test_a_missing_model_is_an_error_with_the_folders_path(tmp_path: Path) -> None:
    put_manifest(tmp_path / "demo" / "checkpoint")  # it has no graphs
    with pytest.raises(ModelError, match=tmp_path.name):
        find_model_dir(tmp_path)


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        load_captioner(tmp_path / "nowhere")


def test_whitespace_and_line_ends_in_a_caption_are_normalized() -> None:
    assert caption_of(" a photo of \n  a dog ", "a dog") == Caption("a photo of a dog")


@pytest.mark.parametrize(("text", "generated"), [("", ""), ("a photo of", ""), ("a photo of  ", " \n")])
def test_an_empty_caption_becomes_null_with_a_reason(text: str, generated: str) -> None:
    caption = caption_of(text, generated)
    assert caption.text is None
    assert caption.reason


@pytest.mark.parametrize(("text", "reason"), [("", None), (None, None), ("a dog", "but why"), (None, "")])
def test_a_caption_is_either_a_text_or_a_reason(text: str | None, reason: str | None) -> None:
    with pytest.raises(ValueError, match="text or a reason"):
        Caption(text, reason)


def test_importing_the_package_is_cheap() -> None:
    heavy = "torch transformers tokenizers onnxruntime numpy PIL"
    code = (
        "import sys, image_processor.captioning\n"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
