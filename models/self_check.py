"""Check an export by running it, without transformers."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning.model_folder import Precision, read_manifest
from image_processor.captioning.onnx_captioner import OnnxCaptioner
from image_processor.captioning.onnx_graphs import BoundGraphs, Floats
from image_processor.captioning.preprocess import Preprocessor
from models.parity import TOLERANCE

TOLERANCES: dict[Precision, float] = {"fp32": TOLERANCE, "int8": 0.1}
"""With 8 bits, the smallest difference can round an activation to another integer, which changes the rest."""

PROMPT, TOKENS = "a photo of", 8
"""Captions are short, so that a check takes only seconds."""


def self_check(folder: Path, pictures: Iterable[Image.Image]) -> str:
    """Caption `pictures`, at least two, with the export in `folder`. Returns a summary for people.

    Raises `ModelError` if the graphs do not run, if they return NaN, if the logits of a caption as a whole differ
    from those token by token, or if all pictures give the same result.
    """
    manifest = read_manifest(folder)
    assert manifest.graphs is not None
    tolerance, used = TOLERANCES[manifest.precision], list(pictures)
    captions = _captions(folder, used)
    preprocess = Preprocessor(manifest.image_size, manifest.graphs.image_mean, manifest.graphs.image_std)
    graphs = BoundGraphs(
        folder, manifest.graphs, manifest.image_size, manifest.graphs.max_positions, precision=manifest.precision
    )
    firsts: list[Floats] = []
    largest = 0.0
    for picture, caption in zip(used, captions, strict=True):
        pixels, ids = preprocess(picture), caption[:-1]
        whole = graphs.start(pixels, ids).copy()
        logits = graphs.start(pixels, ids[:1])
        firsts.append(logits.copy())
        for token in ids[1:]:
            logits = graphs.step(token)
        if not (np.isfinite(whole).all() and np.isfinite(firsts[-1]).all()):
            raise ModelError("the exported graphs return values that are not numbers: the weights are damaged")
        difference = float(np.abs(whole - logits).max() / max(1.0, float(np.abs(whole).max())))
        if not difference <= tolerance:
            raise ModelError(
                f"the exported graphs contradict themselves: a caption as a whole and token by token differ by "
                f"{difference:.2g}; at most {tolerance:.2g} is rounding"
            )
        largest = max(largest, difference)
    if all(np.array_equal(first, firsts[0]) for first in firsts[1:]):
        raise ModelError("the exported graphs return the same for every picture")
    return f"the graphs run: {len(firsts)} captions, as a whole and token by token the same within {largest:.1g}"


def _captions(folder: Path, pictures: list[Image.Image]) -> list[list[int]]:
    captioner = OnnxCaptioner(folder, prompt=PROMPT, max_new_tokens=TOKENS, may_repeat=True)
    try:
        return [captioner.caption_ids(picture) for picture in pictures]
    except ValueError as error:
        raise ModelError(f"the exported graphs do not work: {error}") from error
