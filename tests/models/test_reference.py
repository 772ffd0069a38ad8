"""The transformers engine on a tiny BLIP checkpoint with random weights."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning import load_captioner
from image_processor.captioning.transformers_engine import TransformersCaptioner
from models.demo.architecture import MAX_POSITIONS, build_model, save_checkpoint
from models.demo.vocabulary import build_tokenizer

transformers: Any = pytest.importorskip("transformers")
PICTURE = Image.linear_gradient("L").convert("RGB")
BOS, EOS = 5, 3


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    save_checkpoint(build_model(tokenizer), tokenizer, folder)
    return folder


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


def edit(path: Path, **changes: object) -> None:
    """Change a JSON file and, where it is not model.json, its size there."""
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))
    if path.name != "model.json":
        resize(path)


def resize(path: Path) -> None:
    """Make model.json agree with the new size of a file, so that only its content is wrong."""
    manifest = json.loads((path.parent / "model.json").read_text())
    manifest["files"][path.name]["bytes"] = path.stat().st_size
    (path.parent / "model.json").write_text(json.dumps(manifest))


def test_a_folder_loads_without_network(folder: Path, no_network: None) -> None:
    captioner = load_captioner(folder)
    assert captioner.model == "demo@" + json.loads((folder / "model.json").read_text())["revision"]
    assert captioner.caption(PICTURE) == captioner.caption(PICTURE)


def test_a_caption_continues_the_prompt_of_the_model(pristine: Path) -> None:
    captioner = load_captioner(pristine)
    ids = captioner.caption_ids(PICTURE)
    assert ids[:4] == [BOS, *build_tokenizer().encode("a photo of", add_special_tokens=False)]
    assert (captioner.caption(PICTURE).text or "").startswith("a photo of")


def test_the_tokens_are_those_of_generate_as_blip_documents_it(pristine: Path) -> None:
    model = transformers.BlipForConditionalGeneration.from_pretrained(pristine, local_files_only=True).eval()
    pixels = transformers.BlipImageProcessorPil.from_pretrained(pristine)(images=PICTURE, return_tensors="pt")[
        "pixel_values"
    ]
    prompt = torch.tensor([build_tokenizer().encode("a photo of")])
    prompted = model.generate(pixel_values=pixels, input_ids=prompt, max_new_tokens=9)[0].tolist()
    unprompted = model.generate(pixel_values=pixels, max_new_tokens=9)[0].tolist()
    assert load_captioner(pristine, max_new_tokens=9).caption_ids(PICTURE) == prompted
    assert load_captioner(pristine, max_new_tokens=9, prompt="").caption_ids(PICTURE) == unprompted


def test_a_prompt_can_be_another_or_none(pristine: Path) -> None:
    other = load_captioner(pristine, prompt="an image of").caption_ids(PICTURE)
    assert other[1:4] == build_tokenizer().encode("an image of", add_special_tokens=False)
    none = load_captioner(pristine, prompt="", max_new_tokens=7).caption_ids(PICTURE)
    assert len(none) <= 1 + 7
    assert none == load_captioner(pristine, prompt="  ", max_new_tokens=7).caption_ids(PICTURE)


def test_captions_of_one_captioner_do_not_depend_on_those_before(pristine: Path) -> None:
    captioner = load_captioner(pristine)
    first = captioner.caption_ids(PICTURE)
    captioner.caption_ids(Image.new("RGB", (300, 200), "red"))
    assert captioner.caption_ids(PICTURE) == first


@pytest.mark.parametrize("limit", [1, 5])
def test_no_more_tokens_are_generated_than_asked_for(pristine: Path, limit: int) -> None:
    assert len(load_captioner(pristine, max_new_tokens=limit).caption_ids(PICTURE)) <= 4 + limit


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000), (1, 64), (3, 3)])
def test_pictures_of_any_size_are_captioned(pristine: Path, size: tuple[int, int]) -> None:
    caption = load_captioner(pristine).caption(Image.new("RGB", size, "teal"))
    assert caption.text or caption.reason


def test_a_model_that_ends_at_once_gives_no_caption_and_a_reason(folder: Path) -> None:
    model = transformers.BlipForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[EOS] = 1e6
        model.text_decoder.cls.predictions.decoder.bias[EOS] = 1e6
    model.save_pretrained(folder)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        resize(folder / name)
    caption = load_captioner(folder).caption(PICTURE)
    assert caption.text is None
    assert caption.reason


def test_the_longest_prompt_that_fits_is_taken_and_one_word_more_is_not(pristine: Path) -> None:
    room = MAX_POSITIONS - 1 - 20
    load_captioner(pristine, prompt="a " * room).caption_ids(PICTURE)
    with pytest.raises(ModelError, match=rf"CAPTION_PROMPT of {room + 1} tokens.*{pristine.name}"):
        load_captioner(pristine, prompt="a " * (room + 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "bert"},
        {"model_type": "blip", "architectures": ["BlipForQuestionAnswering"]},
        {"model_type": "blip", "architectures": None},
    ],
)
def test_a_checkpoint_that_does_not_caption_is_refused(folder: Path, changes: dict[str, object]) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(ModelError, match="tiny model is not a BLIP captioning checkpoint"):
        load_captioner(folder)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_config_that_cannot_be_read_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    resize(folder / "config.json")
    with pytest.raises(ModelError, match="tiny model is not a BLIP captioning checkpoint"):
        load_captioner(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_missing_file_is_named_with_its_folder(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"tiny model is incomplete: {name} is missing"):
        load_captioner(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_file_of_garbage_is_an_error_that_names_the_folder(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"garbage")
    resize(folder / name)
    with pytest.raises(ModelError, match=r"checkpoint in .*tiny model cannot be loaded"):
        load_captioner(folder)


def test_a_checkpoint_that_lacks_weights_does_not_go_on_with_random_ones(folder: Path) -> None:
    deeper = json.loads((folder / "config.json").read_text())["text_config"] | {"num_hidden_layers": 3}
    edit(folder / "config.json", text_config=deeper)
    with pytest.raises(ModelError, match=r"checkpoint in .*tiny model lacks weights"):
        load_captioner(folder)


def test_token_ids_that_disagree_are_an_error_that_names_the_folder(folder: Path) -> None:
    edit(folder / "model.json", token_ids={"bos": 6, "eos": 3, "pad": 0})
    with pytest.raises(ModelError, match="tiny model: the token ids"):
        load_captioner(folder)


def test_the_engine_can_be_named(pristine: Path) -> None:
    assert isinstance(load_captioner(pristine, engine="transformers"), TransformersCaptioner)
    with pytest.raises(ModelError, match="CAPTION_ENGINE is onnx"):
        load_captioner(pristine, engine="onnx")
