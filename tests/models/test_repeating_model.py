"""A model that repeats itself: the captioner and transformers keep the same tokens and text."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_processor.captioning.model_folder import read_manifest
from image_processor.captioning.onnx_captioner import OnnxCaptioner
from image_processor.captioning.onnx_graphs import BoundGraphs, Floats
from models.agreement import agreement_with_transformers
from models.demo.drawing import TEST_SEEDS, draw
from models.export import Origin, export
from models.pictures import Sample
from models.reference import Reference
from tests.with_torch import torch_or_skip, transformers_or_skip

torch, transformers = torch_or_skip(), transformers_or_skip()
DEMO = Path(__file__).parents[2] / "models" / "demo" / "checkpoint"
PROMPT, LIMIT = "a photo of", 20
LOOPING = TEST_SEEDS[310]
"""A gray circle on a blue background."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model without its end token, so that each caption continues up to the limit."""
    folder = tmp_path_factory.mktemp("endless") / "checkpoint"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("model.json"))
    model = transformers.BlipForConditionalGeneration.from_pretrained(folder)
    end = read_manifest(DEMO).token_ids.eos
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[end] = -1e6
        model.text_decoder.cls.predictions.decoder.bias[end] = -1e6
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    folder = checkpoint.with_name("exported")
    export(checkpoint, folder, Origin("endless", "0", "none", PROMPT))
    return folder


@pytest.fixture(scope="module")
def captioner(exported: Path) -> OnnxCaptioner:
    return OnnxCaptioner(exported)


def text_of(captioner: OnnxCaptioner, picture: Image.Image) -> str | None:
    return captioner.caption(picture).text


def test_a_caption_ends_before_it_repeats_itself(exported: Path, captioner: OnnxCaptioner) -> None:
    picture = draw(LOOPING).picture

    before = text_of(OnnxCaptioner(exported, may_repeat=True), picture)

    assert before == f"a photo of a gray circle on a blue background{' and blue background' * 4} and"
    assert text_of(captioner, picture) == "a photo of a gray circle on a blue background"
    assert captioner.caption(picture).flags == ("repetitive",)


def test_transformers_keeps_the_same_tokens(checkpoint: Path, captioner: OnnxCaptioner) -> None:
    reference, shortened = Reference(checkpoint), 0
    for seed in TEST_SEEDS[300:330]:
        picture = draw(seed).picture
        ids = captioner.caption_ids(picture)
        shortened += len(ids) < len(reference.prompt_ids(PROMPT)) + LIMIT
        assert ids == reference.caption_ids(picture, PROMPT)
        assert captioner.caption(picture).flags == reference.caption(picture, PROMPT).flags
    assert shortened > 15


def test_nothing_is_generated_after_a_repetition(captioner: OnnxCaptioner, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    step = BoundGraphs.step

    def counted(graphs: BoundGraphs, token: int) -> Floats:
        steps.append(token)
        return step(graphs, token)

    monkeypatch.setattr(BoundGraphs, "step", counted)
    captioner.caption(draw(LOOPING).picture)
    # 14 tokens: "a gray circle on a blue background and blue background and blue background and". The last one
    # shows that "background" is a whole word. The first token needs no step.
    assert len(steps) == 13


def test_an_export_agrees_with_transformers_if_the_tokens_up_to_a_repetition_do(
    checkpoint: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = Reference.generate

    def with_another_end(reference: Reference, *arguments: Any) -> tuple[list[int], list[Floats]]:
        tokens, logits = generate(reference, *arguments)
        return [*tokens[:-1], tokens[-1] + 1], logits

    monkeypatch.setattr(Reference, "generate", with_another_end)
    looping = Sample("looping", "drawn", draw(LOOPING).picture)

    agreement = agreement_with_transformers(exported, checkpoint, [looping])

    assert (agreement.identical_captions, agreement.equal_tokens) == (1, 1)
    assert agreement.worst.expected == agreement.worst.actual == "a photo of a gray circle on a blue background"
