"""Expected weights, defaults and tokenizer of a checkpoint are the same as in transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models.blip import Preprocessing, Text, Vision, expected_shapes
from models.random_checkpoint import build_random_model
from models.tokenizer import load_tokenizer
from tests.models.checkpoints import HUB_LAYOUT
from tests.with_torch import transformers_or_skip

transformers = transformers_or_skip()


def test_names_and_shapes_of_the_weights_match_transformers() -> None:
    model = build_random_model(HUB_LAYOUT)
    config = model.config.to_dict()

    expected = dict(expected_shapes(Vision(**config["vision_config"]), Text(**config["text_config"])))

    state = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert state.pop("text_decoder.cls.predictions.bias") == (30_524,)  # the same as decoder.bias
    assert expected == state


def test_the_defaults_match_transformers() -> None:
    parts = {Vision: transformers.BlipVisionConfig(), Text: transformers.BlipTextConfig()}
    for own, reference in parts.items():
        assert own().model_dump() == {name: getattr(reference, name) for name in own.model_fields}
    processor = transformers.BlipImageProcessorPil()
    own = Preprocessing()
    assert own.size == dict(processor.size)
    for name in (
        "image_mean",
        "image_std",
        "resample",
        "rescale_factor",
        "do_resize",
        "do_rescale",
        "do_normalize",
    ):
        value = getattr(processor, name)
        assert getattr(own, name) == (tuple(value) if isinstance(value, list) else value), name


def edit(folder: Path, name: str, changes: dict[str, object]) -> None:
    path = folder / name
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({}, []),
        ({}, ["tokenizer.json"]),
        ({}, ["vocab.txt"]),
        ({}, ["tokenizer_config.json"]),
        ({}, ["tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"]),
        ({"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}, []),
        ({"bos_token": "[DEC]", "extra_special_tokens": ["[ENC]"]}, ["special_tokens_map.json"]),
        ({"unk_token": {"__type": "AddedToken", "content": "[UNK]", "lstrip": True}}, ["special_tokens_map.json"]),
        (
            {"added_tokens_decoder": {"30522": {"content": "[DEC]", "special": True}, "0": {"content": "[PAD]"}}},
            ["tokenizer.json"],
        ),
    ],
)
def test_the_tokenizer_matches_transformers(
    checkpoint: Path, tmp_path: Path, changes: dict[str, object], absent: list[str]
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "edited"))
    edit(folder, "tokenizer_config.json", changes)
    for name in absent:
        (folder / name).unlink()
    reference = transformers.BertTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer

    own = load_tokenizer(folder)

    assert json.loads(own.to_str()) == json.loads(reference.to_str())
    for text in ("a photo of", "Émile’s 漢字", "  [SEP] word7 [DEC]\tunheard-of "):
        assert (
            own.encode(text, add_special_tokens=False).ids == reference.encode(text, add_special_tokens=False).ids
        )
