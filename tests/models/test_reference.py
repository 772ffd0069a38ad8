"""The reference implementation, with a tiny BLIP checkpoint with random weights."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_core.errors import ModelError
from models.demo.architecture import build_model, save_checkpoint
from models.demo.vocabulary import build_tokenizer
from models.reference import Reference
from tests.with_torch import torch_or_skip, transformers_or_skip

torch, transformers = torch_or_skip(), transformers_or_skip()
PICTURE = Image.linear_gradient("L").convert("RGB")
PROMPT = "a photo of"
BOS, EOS = 5, 3


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    save_checkpoint(build_model(tokenizer), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def reference(pristine: Path) -> Reference:
    return Reference(pristine)


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "tiny model"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_folder_loads_without_network(folder: Path, no_network: None) -> None:
    assert Reference(folder).caption_ids(PICTURE)


def test_the_tokens_are_those_of_generate_as_documented_for_blip(pristine: Path, reference: Reference) -> None:
    model = transformers.BlipForConditionalGeneration.from_pretrained(pristine, local_files_only=True).eval()
    pixels = transformers.BlipImageProcessorPil.from_pretrained(pristine)(images=PICTURE, return_tensors="pt")[
        "pixel_values"
    ]
    prompt = torch.tensor([build_tokenizer().encode(PROMPT)])
    prompted = model.generate(pixel_values=pixels, input_ids=prompt, max_new_tokens=9)[0].tolist()
    unprompted = model.generate(pixel_values=pixels, max_new_tokens=9)[0].tolist()
    assert reference.caption_ids(PICTURE, PROMPT, 9) == prompted
    assert reference.caption_ids(PICTURE, "", 9) == unprompted


def test_a_caption_continues_the_prompt(reference: Reference) -> None:
    ids = reference.caption_ids(PICTURE, "an image of")
    assert ids[:4] == [BOS, *build_tokenizer().encode("an image of", add_special_tokens=False)]
    assert (reference.caption(PICTURE, "an image of").text or "").startswith("an image of")


def test_a_blank_prompt_is_no_prompt(reference: Reference) -> None:
    none = reference.caption_ids(PICTURE, "", 7)
    assert len(none) <= 1 + 7
    assert none == reference.caption_ids(PICTURE, "  ", 7)


def test_captions_do_not_depend_on_previous_ones(reference: Reference) -> None:
    first = reference.caption_ids(PICTURE)
    reference.caption_ids(Image.new("RGB", (300, 200), "red"))
    assert reference.caption_ids(PICTURE) == first


@pytest.mark.parametrize("limit", [1, 5])
def test_the_number_of_tokens_is_limited(reference: Reference, limit: int) -> None:
    assert len(reference.caption_ids(PICTURE, PROMPT, limit)) <= 4 + limit


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000), (1, 64), (3, 3)])
def test_pictures_of_any_size_are_captioned(reference: Reference, size: tuple[int, int]) -> None:
    caption = reference.caption(Image.new("RGB", size, "teal"))
    assert caption.text or caption.reason


def test_a_model_that_ends_at_once_gives_an_empty_caption_with_a_reason(folder: Path) -> None:
    model = transformers.BlipForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[EOS] = 1e6
        model.text_decoder.cls.predictions.decoder.bias[EOS] = 1e6
    model.save_pretrained(folder)
    caption = Reference(folder).caption(PICTURE)
    assert caption.text is None
    assert caption.reason


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_the_error_for_an_invalid_file_names_the_folder(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"checkpoint in .*tiny model cannot be loaded"):
        Reference(folder)


def test_a_checkpoint_with_missing_weights_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"checkpoint in .*tiny model lacks weights"):
        Reference(folder)
