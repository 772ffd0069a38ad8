"""The captioning package: captions, the choice of the model folder, and the cost of its import."""

import subprocess
import sys
from math import exp, inf, log, nan
from pathlib import Path

import numpy as np
import pytest

from image_core.errors import ModelError
from image_processor.captioning import Caption, find_model_dir, load_captioner
from image_processor.captioning.confidence import Generated, log_probability
from image_processor.captioning.prompt import caption_of
from image_processor.captioning.repetition import Repetition


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


def chosen(*probabilities: float, is_repetitive: bool = False) -> Generated:
    """Tokens that were chosen with these probabilities."""
    return Generated(range(len(probabilities)), list(map(log, probabilities)), is_repetitive)


def caption(text: str, after_prompt: str, generated: Generated | None = None) -> Caption:
    return caption_of(text, after_prompt, generated or chosen(0.5), language="en", low_confidence=0.4)


def test_whitespace_and_line_ends_in_a_caption_are_normalized() -> None:
    assert caption(" a photo of \n  a dog ", "a dog").text == "a photo of a dog"


@pytest.mark.parametrize(("text", "after_prompt"), [("", ""), ("a photo of", ""), ("a photo of  ", " \n")])
def test_an_empty_caption_becomes_null_with_a_reason(text: str, after_prompt: str) -> None:
    empty = caption(text, after_prompt)
    assert (empty.text, empty.confidence, empty.flags, empty.language) == (None, None, None, None)
    assert empty.reason


def test_the_confidence_is_the_geometric_mean_of_the_tokens_probabilities() -> None:
    assert chosen(0.9, 0.4, 0.6).confidence == round((0.9 * 0.4 * 0.6) ** (1 / 3), 4)
    assert chosen(1.0).confidence == 1


def test_only_the_tokens_before_a_repetition_count() -> None:
    looped = chosen(0.9, 0.4, 1.0, 1.0, 1.0).before(Repetition(kept=2, seen=5))
    assert (list(looped.tokens), looped.confidence, looped.is_repetitive) == ([0, 1], 0.6, True)


@pytest.mark.parametrize(
    ("after_prompt", "generated", "flags"),
    [
        ("a dog on a beach", chosen(0.4), ()),
        ("a dog on a beach", chosen(0.39), ("low_confidence",)),
        ("a dog on a beach", chosen(0.9, is_repetitive=True), ("repetitive",)),
        ("a big dog", chosen(0.9), ()),
        ("a dog.", chosen(0.9), ("too_short",)),
        ("dog", chosen(0.1, is_repetitive=True), ("low_confidence", "repetitive", "too_short")),
    ],
)
def test_flags_say_why_a_person_should_check_a_caption(
    after_prompt: str, generated: Generated, flags: tuple[str, ...]
) -> None:
    assert caption(f"a photo of {after_prompt}", after_prompt, generated).flags == flags


def test_a_probability_is_computed_without_overflow() -> None:
    logits = np.array([1000.0, 1000.0, -1000.0], dtype=np.float32)
    assert exp(log_probability(logits, 0)) == pytest.approx(0.5)
    assert log_probability(logits, 2) == pytest.approx(-2000 - log(2))


@pytest.mark.parametrize("logits", [[nan, 1.0], [1.0, nan], [inf, 1.0], [-inf, -inf]])
def test_logits_of_damaged_weights_have_no_probability(logits: list[float]) -> None:
    with pytest.raises(ValueError, match="largest logit"):
        log_probability(np.array(logits, dtype=np.float32), 0)


def test_a_token_that_the_model_excludes_has_probability_0() -> None:
    assert log_probability(np.array([-inf, 1.0], dtype=np.float32), 0) == -inf


@pytest.mark.parametrize("confidence", [nan, -0.1, 1.1])
def test_a_confidence_is_a_number_from_0_to_1(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        Caption("a dog", confidence=confidence)


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
