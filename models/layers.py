"""Choose the form of each product of the encoder by measuring it on pictures.

See docs/decisions/0030-eight-bits.md.

The activations come from the fp32 graph. For each product, the result with rounded weights and activations is
compared with the exact one. The first form within `MAX_ERROR` is taken: `columns` is the fastest, `blocks` is more
exact if a few activations are much larger than the others, and fp32 is exact.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from image_processor.captioning.preprocess import Preprocessor
from models.blip import Checkpoint
from models.encoder_graph import product_inputs
from models.parity import sample_pictures
from models.pictures import MEASURED_SEEDS, drawn_pictures
from models.quantize import (
    Form,
    blocks,
    columns,
    from_blocks,
    from_columns,
    rounded_as_a_whole,
    rounded_by_block,
)
from models.weights import Floats

MAX_ERROR = 0.03
"""Maximum error of a product, relative to its result (root mean square of both)."""
PICTURES = 4
"""Number of pictures of each kind that the products are measured on."""
ROWS = 64
"""Number of rows of each picture that are multiplied. All of its rows count for the range of the activations."""


@dataclass(frozen=True)
class Activations:
    """Values of one picture that a product multiplies: some `rows` (rows, K), and the range of each column (K)."""

    rows: Floats
    low: Floats
    high: Floats

    def divided(self, by: Floats) -> "Activations":
        """The activations after each column is divided by a positive number."""
        return Activations(self.rows / by, self.low / by, self.high / by)


class Layers:
    """Measures the products of an encoder, and chooses their forms (a `models.products.Forms`)."""

    def __init__(self, activations: Mapping[str, list[Activations]]) -> None:
        """`activations` of several pictures, by the product's name."""
        self._activations = dict(activations)
        self.errors: dict[str, tuple[Form, float]] = {}
        """The form and the error of each product."""

    def form(self, name: str, matrix: Floats) -> Form:
        if name not in self.errors:
            self.errors[name] = self._measure(self._activations[name], matrix)
        return self.errors[name][0]

    def balance(self, readers: Mapping[str, Floats]) -> Floats:
        """A power of two for each column of the activations that `readers`, matrices by name, multiply.

        Dividing a column by it, and multiplying the row of each matrix, moves a part of large activations into the
        weights, which have a scale for each column. The product is exactly the same before it is rounded.
        """
        given = self._activations[next(iter(readers))]
        activation = np.max([np.maximum(-one.low, one.high) for one in given], axis=0)
        weight = np.max([np.abs(matrix).max(axis=1) for matrix in readers.values()], axis=0)
        ratio = np.where((activation > 0) & (weight > 0), activation / np.maximum(weight, 1e-30), 1)
        exponents = np.log2(np.maximum(ratio, 1e-30)) / 2
        powers = np.exp2(np.round(exponents - np.median(exponents))).astype(np.float32)
        for name in readers:
            self._activations[name] = [one.divided(powers) for one in self._activations[name]]
        return powers

    def __str__(self) -> str:
        counts = Counter(form for form, _ in self.errors.values())
        name, (_, error) = max(self.errors.items(), key=lambda item: item[1][1])
        return (
            f"{len(self.errors)} products of the encoder: {counts['columns']} with 8-bit columns, "
            f"{counts['blocks']} with 8-bit blocks, {counts['fp32']} in fp32; largest error {error:.1%} ({name})"
        )

    def _measure(self, given: list[Activations], matrix: Floats) -> tuple[Form, float]:
        exact = np.concatenate([one.rows for one in given])
        product = exact @ matrix
        rounded = np.concatenate([rounded_as_a_whole(one.rows, one.low.min(), one.high.max()) for one in given])
        error = _error(product, rounded @ from_columns(*columns(matrix)))
        if error <= MAX_ERROR:
            return "columns", error
        error = _error(product, rounded_by_block(exact) @ from_blocks(*blocks(matrix), len(matrix)))
        return ("blocks", error) if error <= MAX_ERROR else ("fp32", 0.0)


def measure(checkpoint: Checkpoint, exact: Path) -> Layers:
    """Measure the products of the encoder. `exact`: the folder of its fp32 graph."""
    settings = checkpoint.preprocessing
    preprocess = Preprocessor(checkpoint.vision.image_size, settings.image_mean, settings.image_std)
    pictures = [*(one.picture for one in drawn_pictures(PICTURES, MEASURED_SEEDS)), *sample_pictures(PICTURES)]
    return Layers(run_encoder(exact / "encoder.onnx", product_inputs(checkpoint), map(preprocess, pictures)))


def run_encoder(
    encoder: Path, inputs: Mapping[str, str], pictures: Iterable[Floats]
) -> dict[str, list[Activations]]:
    """Run the fp32 graph on `pictures` (1, 3, side, side), and return what its products multiply.

    `inputs`: the value that each product multiplies, by the product's name.
    """
    names = sorted(set(inputs.values()))
    session = _session_with_outputs(encoder, names)
    kept: dict[str, list[Activations]] = {name: [] for name in names}
    for pixels in pictures:
        for name, value in zip(names, session.run(names, {"pixels": pixels}), strict=True):
            kept[name].append(_sample(value.reshape(-1, value.shape[-1])))
    return {product: kept[name] for product, name in inputs.items()}


def _session_with_outputs(encoder: Path, names: list[str]) -> Any:
    model = onnx.load(str(encoder), load_external_data=False)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    path = encoder.with_name("probe.onnx")  # next to the weights
    path.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    finally:
        path.unlink()


def _sample(rows: Floats) -> Activations:
    return Activations(rows[:: max(1, len(rows) // ROWS)].copy(), rows.min(axis=0), rows.max(axis=0))


def _error(exact: Floats, rounded: Floats) -> float:
    return float(np.linalg.norm(exact - rounded) / max(float(np.linalg.norm(exact)), 1e-30))
