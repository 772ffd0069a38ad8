"""The captioner returns what transformers returns, without using it. It refuses invalid folders on loading."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning import Caption, find_model_dir, load_captioner, onnx_captioner
from image_processor.captioning.model_folder import read_manifest
from image_processor.captioning.onnx_captioner import OnnxCaptioner, low_confidence_of
from models.check import main as check
from models.demo.drawing import TEST_SEEDS, draw
from models.parity import compare
from models.reference import Reference
from tests.with_torch import transformers_or_skip

PROMPT = "a photo of"
"""The prompt of the demo model."""
MODELS = Path(__file__).parents[3] / "models"
CHECKPOINT, EXPORTED = MODELS / "demo" / "checkpoint", MODELS / "demo" / "exported"

WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "safetensors", "huggingface_hub", "onnx"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

from pathlib import Path
from PIL import Image
from image_processor.captioning import load_captioner

print(load_captioner(Path(sys.argv[1])).caption(Image.new("RGB", (90, 60), "red")).text)
"""


@pytest.fixture(scope="module")
def captioner() -> OnnxCaptioner:
    return OnnxCaptioner(EXPORTED)


@pytest.fixture(scope="module")
def reference() -> Reference:
    transformers_or_skip()
    return Reference(CHECKPOINT, low_confidence=low_confidence_of(read_manifest(EXPORTED)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the export that a test may damage."""
    return Path(shutil.copytree(EXPORTED, tmp_path / "model"))


def assert_same(one: Caption, other: Caption) -> None:
    """The logits of ONNX Runtime and of torch differ in their last digits, and so do confidences."""
    assert one.confidence == pytest.approx(other.confidence, abs=2e-4)
    assert replace(one, confidence=other.confidence) == other


def test_200_drawn_pictures_get_the_same_tokens_as_from_transformers_with_and_without_prompt(
    reference: Reference, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = (draw(seed).picture for seed in TEST_SEEDS[:200])

    comparison = compare(reference, EXPORTED, pictures, ["", "a photo of"])

    with capsys.disabled():
        print(f"\n  demo model: {comparison}")
    assert comparison.captions == 400
    assert comparison.close, str(comparison)


def test_the_text_is_the_same_as_from_transformers(captioner: OnnxCaptioner, reference: Reference) -> None:
    for seed in TEST_SEEDS[200:210]:
        picture = draw(seed).picture
        assert_same(captioner.caption(picture), reference.caption(picture, PROMPT))
        assert captioner.caption_ids(picture) == reference.caption_ids(picture, PROMPT)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000), (64, 64), (65, 63)])
def test_a_picture_of_any_proportions_is_captioned_as_by_transformers(
    captioner: OnnxCaptioner, reference: Reference, size: tuple[int, int]
) -> None:
    picture = Image.linear_gradient("L").resize(size).convert("RGB")

    assert captioner.caption_ids(picture) == reference.caption_ids(picture, PROMPT)


@pytest.mark.parametrize("prompt", ["", "a picture of a", "a photo of a red circle on a dark"])
def test_a_caption_continues_the_given_prompt(reference: Reference, prompt: str) -> None:
    picture = draw(TEST_SEEDS[0]).picture

    caption = load_captioner(EXPORTED, prompt=prompt).caption(picture)

    assert_same(caption, reference.caption(picture, prompt))
    assert (caption.text or prompt).startswith(prompt)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_caption_has_no_more_tokens_than_the_limit(captioner: OnnxCaptioner, limit: int) -> None:
    picture = draw(TEST_SEEDS[0]).picture

    ids = OnnxCaptioner(EXPORTED, max_new_tokens=limit).caption_ids(picture)

    assert ids == captioner.caption_ids(picture)[: 1 + 3 + limit]


def test_the_confidence_is_that_of_the_tokens_after_the_prompt_and_of_the_end(
    captioner: OnnxCaptioner, reference: Reference
) -> None:
    picture = Image.linear_gradient("L").convert("RGB")

    tokens, logits = reference.generate(reference.pixels(picture), reference.prompt_ids(PROMPT), 20)
    exact = [row.astype(np.float64) for row in logits]
    probabilities = [np.exp(row[token]) / np.exp(row).sum() for row, token in zip(exact, tokens, strict=True)]

    caption = captioner.caption(picture)
    assert caption.confidence == pytest.approx(float(np.prod(probabilities)) ** (1 / len(tokens)), abs=2e-4)
    assert 0 < (caption.confidence or 0) < 0.99
    assert caption.language == "en"


def test_the_recipe_names_everything_that_decides_a_caption_and_its_flags(
    folder: Path, captioner: OnnxCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [captioner.recipe, OnnxCaptioner(folder, prompt="").recipe]
    manifest = json.loads((folder / "model.json").read_text())
    for changed in ({"language": "de"}, {"low_confidence": 0.123}):
        (folder / "model.json").write_text(json.dumps(manifest | changed))
        recipes.append(OnnxCaptioner(folder).recipe)
    for version in ("CAPTION_VERSION", "REPETITION_VERSION"):
        with monkeypatch.context() as patched:
            patched.setattr(onnx_captioner, version, 1_000)
            recipes.append(OnnxCaptioner(EXPORTED).recipe)
    assert len(set(recipes)) == 6
    assert OnnxCaptioner(EXPORTED).recipe == captioner.recipe


def test_a_caption_does_not_depend_on_the_one_before(captioner: OnnxCaptioner) -> None:
    first, second = (draw(seed).picture for seed in TEST_SEEDS[:2])

    before = captioner.caption_ids(first)
    captioner.caption_ids(second)

    assert captioner.caption_ids(first) == before


def test_concurrent_threads_get_correct_captions(captioner: OnnxCaptioner) -> None:
    pictures = [draw(seed).picture for seed in TEST_SEEDS[:8]]
    alone = [captioner.caption_ids(picture) for picture in pictures]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(captioner.caption_ids, pictures))

    assert together == alone


def test_a_model_can_be_loaded_in_another_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        captioner = pool.submit(load_captioner, EXPORTED)

    assert captioner.result().caption(draw(TEST_SEEDS[0]).picture).text


def test_torch_and_transformers_need_not_be_installed() -> None:
    output = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", WITHOUT_TORCH, str(EXPORTED)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith("a photo of ")
    imported = {line.rpartition("|")[2].strip() for line in output.stderr.splitlines() if "|" in line}
    assert "onnxruntime" in imported
    assert not imported & {"torch", "transformers", "onnx"}


def test_the_real_model_is_preferred_to_the_demo(tmp_path: Path) -> None:
    for name in ("demo/exported", "exported"):
        path = tmp_path / name
        path.mkdir(parents=True)
        (path / "model.json").touch()
        assert find_model_dir(tmp_path) == path


def test_the_error_for_a_checkpoint_without_graphs_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=rf"without ONNX graphs.* make model FROM={CHECKPOINT}"):
        load_captioner(CHECKPOINT)


def test_a_limit_without_room_for_a_caption_is_an_error_with_the_settings_name() -> None:
    with pytest.raises(ModelError, match="CAPTION_MAX_TOKENS is 0"):
        load_captioner(EXPORTED, max_new_tokens=0)


def test_the_error_for_a_missing_folder_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere does not exist"):
        load_captioner(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["model.json", "encoder.onnx", "encoder.weights", "decoder.onnx", "decoder.weights", "tokenizer.json"]
)
def test_the_error_for_a_missing_file_names_it(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ModelError, match=rf"{folder}.*{name}"):
        load_captioner(folder)


@pytest.mark.parametrize("name", ["encoder.weights", "decoder.onnx", "tokenizer.json"])
def test_the_error_for_a_half_copied_file_names_it(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(ModelError, match=rf"{folder} is incomplete: {name} has"):
        load_captioner(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "tokenizer.json"])
def test_a_damaged_description_file_is_found_while_loading(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(ModelError, match=rf"{folder / name} is damaged"):
        load_captioner(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "tokenizer.json"])
def test_the_error_for_a_file_of_the_wrong_kind_names_it(folder: Path, name: str) -> None:
    content = b"\xff" * 100
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "model.json").write_text(json.dumps(manifest))

    with pytest.raises(ModelError, match=rf"{folder / name} cannot be"):
        load_captioner(folder)


def test_the_error_for_graphs_that_do_not_match_their_description_names_them(folder: Path) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    manifest["graphs"]["heads"] *= 2
    (folder / "model.json").write_text(json.dumps(manifest))

    with pytest.raises(ModelError, match=rf"{folder}.*model\.json"):
        load_captioner(folder)


def test_damaged_weights_are_found_by_the_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check([str(folder)]) == 0
    weights = bytearray((folder / "decoder.weights").read_bytes())
    weights[-1] ^= 1
    (folder / "decoder.weights").write_bytes(weights)

    assert check([str(folder)]) == 1
    assert f"{folder / 'decoder.weights'} is damaged" in capsys.readouterr().err


def test_a_prompt_beyond_the_limit_is_refused_while_loading() -> None:
    with pytest.raises(ModelError, match=r"CAPTION_PROMPT of 250 tokens and CAPTION_MAX_TOKENS of 20 .* 255"):
        load_captioner(EXPORTED, prompt="a " * 250)


def test_the_longest_prompt_works_as_in_transformers(reference: Reference) -> None:
    picture = draw(TEST_SEEDS[0]).picture
    prompt = "a " * 250

    ids = OnnxCaptioner(EXPORTED, prompt=prompt, max_new_tokens=5).caption_ids(picture)

    assert ids == reference.caption_ids(picture, prompt, 5)


def test_logits_that_are_not_numbers_are_an_error_not_an_empty_caption(
    captioner: OnnxCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them is that of the padding token, which has no text."""
    logits = np.full(1_000, np.nan, dtype=np.float32)
    for name in ("start", "step"):
        monkeypatch.setattr(captioner._graphs, name, lambda *_: logits)
    with pytest.raises(ValueError, match="largest logit"):
        captioner.caption(Image.new("RGB", (90, 60), "red"))
