"""Compare an export with its checkpoint in transformers: the tokens, and the logits that they are chosen from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning.model_folder import read_manifest
from image_processor.captioning.onnx_graphs import BoundGraphs
from image_processor.captioning.preprocess import Preprocessor
from models.reference import Reference
from models.weights import Floats

TOLERANCE = 1e-3
"""Maximum difference of logits, relative to the largest logit."""


@dataclass(frozen=True)
class Comparison:
    """The result: number of compared `captions`, of which `identical` have exactly the same token ids."""

    captions: int = 0
    identical: int = 0
    largest_difference: float = 0.0
    largest_logit: float = 0.0

    @property
    def close(self) -> bool:
        """Whether the export gives the same results as the checkpoint."""
        return self.identical == self.captions and self.largest_difference <= TOLERANCE * max(
            1.0, self.largest_logit
        )

    def __str__(self) -> str:
        return (
            f"{self.identical} of {self.captions} captions identical token by token, largest difference of logits "
            f"{self.largest_difference:.2g} (largest logit {self.largest_logit:.3g})"
        )


def compare(
    reference: Reference,
    folder: Path,
    pictures: Iterable[Image.Image],
    prompts: Iterable[str] = ("", "a photo of"),
    max_new_tokens: int = 20,
) -> Comparison:
    """Caption each picture with each prompt. The graphs in `folder` get the tokens of transformers, so that logits
    can be compared at every step. If their best token is always the same, they generate the same caption on their
    own."""
    manifest = read_manifest(folder)
    assert manifest.graphs is not None
    starts = [reference.prompt_ids(prompt) for prompt in prompts]
    length = max(map(len, starts)) + max_new_tokens
    graphs = BoundGraphs(folder, manifest.graphs, manifest.image_size, length, precision=manifest.precision)
    preprocess = Preprocessor(manifest.image_size, manifest.graphs.image_mean, manifest.graphs.image_std)
    total = Comparison()
    for picture in pictures:
        pixels = reference.pixels(picture)
        if not np.array_equal(pixels, preprocess(picture)):
            raise ModelError("preprocessing differs from that of transformers")
        for start in starts:
            tokens, expected = reference.generate(pixels, start, max_new_tokens)
            total = _add(total, tokens, expected, graphs.start(pixels, start), graphs)
    return total


def sample_pictures(count: int, side: int = 96) -> Iterator[Image.Image]:
    """Seeded pictures of soft colors, all different and with different aspect ratios."""
    rng = np.random.default_rng(0)
    for number in range(count):
        colors = rng.integers(0, 256, (4 + number % 3, 4, 3), dtype=np.uint8)
        yield Image.fromarray(colors).resize((side + 16 * number, side), Image.Resampling.BICUBIC)


def _add(
    total: Comparison, tokens: list[int], expected: list[Floats], logits: Floats, graphs: BoundGraphs
) -> Comparison:
    identical, difference, largest = True, total.largest_difference, total.largest_logit
    for number, (token, reference) in enumerate(zip(tokens, expected, strict=True)):
        if number:
            logits = graphs.step(tokens[number - 1])
        identical = identical and int(logits.argmax()) == token
        # NumPy's maximum, unlike Python's, keeps NaN.
        difference = float(np.maximum(difference, np.abs(logits - reference).max()))
        largest = float(np.maximum(largest, np.abs(reference).max()))
    return Comparison(total.captions + 1, total.identical + identical, difference, largest)
