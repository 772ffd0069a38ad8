"""The demo model in the repository is complete, small, and correct about new pictures."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from image_processor.captioning.model_folder import verify_checksums
from models.demo.architecture import MAX_NEW_TOKENS, build_model
from models.demo.captions import scene_caption
from models.demo.dataset import draw_dataset, model_pixels
from models.demo.drawing import PROMPT, TEST_SEEDS
from models.demo.evaluate import CHECKPOINT, evaluate, print_report
from models.demo.vocabulary import build_tokenizer, words
from models.reference import Reference
from tests.with_torch import transformers_or_skip

FRESH = TEST_SEEDS.start + 50_000
"""The first seed that these tests draw. They use other seeds than the published figures."""


@pytest.fixture(scope="module")
def transformers() -> Any:
    return transformers_or_skip()


@pytest.fixture(scope="module")
def reference(transformers: Any) -> Reference:
    return Reference(CHECKPOINT)


def test_the_checkpoint_is_complete_and_describes_itself() -> None:
    manifest = verify_checksums(CHECKPOINT)
    weights = manifest.files["model.safetensors"]
    assert manifest.model == f"demo@{weights.sha256[:12]}"
    assert (manifest.license, manifest.prompt) == ("Apache-2.0", PROMPT)
    assert {path.name for path in CHECKPOINT.iterdir()} == {"model.json", *manifest.files}


def test_the_weights_are_at_most_8_megabytes_and_readable_by_everyone() -> None:
    assert (CHECKPOINT / "model.safetensors").stat().st_size <= 8_000_000
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in CHECKPOINT.iterdir())


def test_it_has_the_shape_and_vocabulary_of_the_training_code(transformers: Any) -> None:
    stored = json.loads((CHECKPOINT / "config.json").read_text())
    built = build_model(build_tokenizer()).config
    for part in ("vision_config", "text_config"):
        for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            assert stored[part][key] == getattr(getattr(built, part), key), (part, key)
    assert (CHECKPOINT / "vocab.txt").read_text().split("\n")[:-1] == words()


def test_plain_transformers_loads_and_runs_it(transformers: Any) -> None:
    processor = transformers.BlipProcessor.from_pretrained(CHECKPOINT, local_files_only=True)
    model = transformers.BlipForConditionalGeneration.from_pretrained(CHECKPOINT, local_files_only=True)
    picture = Image.new("RGB", (120, 90), "black")
    inputs = processor(images=picture, text=PROMPT, return_tensors="pt")
    caption = processor.decode(model.generate(**inputs)[0], skip_special_tokens=True)
    assert caption == f"{PROMPT} a dark scene, mostly black"


def test_at_least_nine_in_ten_captions_of_new_pictures_are_exactly_right(
    transformers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = evaluate(CHECKPOINT, count=60, first_seed=FRESH)
    print_report(predictions)
    report = capsys.readouterr().out
    assert sum(prediction.exact for prediction in predictions) >= 54, report
    assert report.splitlines()[-1].startswith("exact captions, all: ")


def test_captions_of_plain_pictures_are_right(reference: Reference) -> None:
    for color in ("white", "black", "red", "navy", (128, 128, 128), (120, 165, 235)):
        picture = Image.new("RGB", (400, 300), color)
        assert reference.caption(picture, PROMPT).text == f"{PROMPT} {scene_caption(picture)}", color


def test_the_same_picture_gets_the_same_caption_from_every_load(reference: Reference) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (70, 90, 3), dtype=np.uint8))
    assert reference.caption_ids(picture) == reference.caption_ids(picture)
    assert reference.caption_ids(picture) == Reference(CHECKPOINT).caption_ids(picture)


def test_without_a_prompt_the_caption_is_the_same_without_the_prompts_words(transformers: Any) -> None:
    prompted = {prediction.seed: prediction for prediction in evaluate(CHECKPOINT, count=6, first_seed=FRESH)}
    unprompted = evaluate(CHECKPOINT, count=6, first_seed=FRESH, prompt="")
    for prediction in unprompted:
        assert f"{PROMPT} {prediction.caption}" == prompted[prediction.seed].caption


def test_captions_end_within_the_token_limit(reference: Reference) -> None:
    ids = reference.caption_ids(Image.new("RGB", (64, 64), "teal"), PROMPT)
    assert ids[-1] == verify_checksums(CHECKPOINT).token_ids.eos
    assert len(ids) < MAX_NEW_TOKENS


def test_pictures_are_preprocessed_for_training_as_for_captioning(transformers: Any) -> None:
    from models.demo.train import normalized  # needs torch

    picture = Image.fromarray(np.random.default_rng(2).integers(0, 255, (50, 130, 3), dtype=np.uint8))
    image_processor = transformers.BlipImageProcessorPil.from_pretrained(CHECKPOINT, local_files_only=True)
    expected = image_processor(images=picture, return_tensors="np")["pixel_values"]
    given = normalized(model_pixels(picture, 64)[None]).numpy()
    assert np.abs(given - expected).max() < 1e-5


def test_training_is_seeded(transformers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from models.demo.train import Plan, train  # needs torch

    dataset = draw_dataset(range(32), 64, print)
    plan = Plan(pictures=32, steps=6, batch=16, warm_up=1)
    first, _ = train(plan, dataset)
    second, _ = train(plan, dataset)
    for name, weight in first.state_dict().items():
        assert weight.equal(second.state_dict()[name]), name
    assert "step 6 of 6" in capsys.readouterr().out
