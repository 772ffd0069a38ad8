"""Exports with 8-bit weights: how numbers are rounded, which products are, and how captions change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning.model_folder import verify_checksums
from image_processor.captioning.onnx_captioner import OnnxCaptioner
from models.blip import load_checkpoint
from models.encoder_graph import encoder_graph
from models.export import Origin, export, main, origin_of
from models.graph import Graph
from models.layers import Layers, measure
from models.pictures import CROPS, Compared, own_pictures, photographs
from models.products import Products
from models.quantize import (
    Form,
    blocks,
    columns,
    from_blocks,
    from_columns,
    rounded_as_a_whole,
    rounded_by_block,
)
from models.random_checkpoint import write_random_checkpoint
from tests.models.checkpoints import HUB_LAYOUT, edit_weights, edited
from tests.with_torch import transformers_or_skip

REPOSITORY_ROOT = Path(__file__).parents[2]
DEMO = REPOSITORY_ROOT / "models" / "demo"
Floats = NDArray[np.float32]

ON_THIS_CPU = """
import sys
from pathlib import Path
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(Path(sys.argv[1]), options)
for values in np.load(sys.argv[2]):
    np.savetxt(sys.stdout, session.run(None, {"value": values})[0], fmt="%.6g")
"""


def random(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def with_large_numbers(matrix: Floats) -> Floats:
    """Multiply some numbers by 50, including two neighbors in a column."""
    changed = matrix.copy()
    changed[::7, ::3] *= 50
    changed[1::7, ::3] *= 50
    return changed


@pytest.mark.parametrize(
    "matrix", [random(65, 40), with_large_numbers(random(64, 40)), np.zeros((4, 4), "float32")]
)
def test_two_neighboring_products_of_a_column_fit_into_16_bits_on_any_cpu(matrix: Floats) -> None:
    integers, _ = columns(matrix)
    sizes = np.abs(integers.astype(int))
    assert (sizes[:-1:2] + sizes[1::2]).max() * 255 <= 32_767


@pytest.mark.parametrize("depth", [64, 128, 200])
def test_rounded_weights_are_within_half_a_step_of_the_exact_ones(depth: int) -> None:
    matrix = with_large_numbers(random(depth, 24))
    integers, scales = columns(matrix)
    assert (np.abs(from_columns(integers, scales) - matrix) <= scales * 0.501).all()
    stored, block_scales = blocks(matrix)
    steps = np.repeat(block_scales, 128, axis=1)[:, :depth].T
    assert (np.abs(from_blocks(stored, block_scales, depth) - matrix) <= steps * 0.501).all()


class SingleForm:
    """Stores every product in the given form."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def form(self, name: str, matrix: Floats) -> Form:
        return self._form

    def balance(self, readers: object) -> None:
        return None


def product_graph(folder: Path, matrix: Floats, form: Form, bias: Floats) -> Path:
    """Write the graph of one product."""
    graph = Graph("product")
    value = graph.input("value", ["rows", len(matrix)])
    product = Products(graph, SingleForm(form)).multiply(value, "matrix", matrix, ("bias", bias))
    graph.output("product", ["rows", matrix.shape[1]], product)
    graph.save(folder)
    return folder / "product.onnx"


@pytest.mark.parametrize("form", ["columns", "blocks"])
@pytest.mark.parametrize("depth", [128, 200])
def test_a_product_in_the_graph_equals_the_measured_one(tmp_path: Path, form: Form, depth: int) -> None:
    value, matrix, bias = random(6, depth), random(depth, 24, seed=1), random(24, seed=2)
    path = product_graph(tmp_path, matrix, form, bias)

    (product,) = onnxruntime.InferenceSession(path).run(None, {"value": value})

    if form == "columns":
        expected = rounded_as_a_whole(value, value.min(), value.max()) @ from_columns(*columns(matrix))
    else:
        expected = rounded_by_block(value) @ from_blocks(*blocks(matrix), depth)
    # A value halfway between two steps may be rounded to either.
    assert np.abs(product - bias - expected).max() < 0.05
    assert np.abs(product - bias - value @ matrix).max() > 0.01


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 is not installed")
@pytest.mark.parametrize("form", ["columns", "blocks"])
def test_a_cpu_without_vnni_gives_the_same_products(tmp_path: Path, form: Form) -> None:
    # All products of a column have the same sign, and activations have the maximum size.
    matrix = np.where(random(256, 64) > 0, 1, 0.01).astype(np.float32)
    matrix[:, 32:] = -1
    values = np.stack([np.full((4, 256), 255, np.float32), np.abs(random(4, 256)), random(4, 256)])
    np.save(tmp_path / "values.npy", values)
    path = product_graph(tmp_path, matrix, form, np.zeros(64, np.float32))
    command = [sys.executable, "-c", ON_THIS_CPU, str(path), str(tmp_path / "values.npy")]

    here, haswell = (
        subprocess.run([*emulator, *command], capture_output=True, text=True, check=True, timeout=120).stdout
        for emulator in ([], ["qemu-x86_64", "-cpu", "Haswell"])
    )

    numbers = [np.array(output.split(), dtype=float) for output in (here, haswell)]
    assert len(numbers[0]) == values[..., 0].size * 64
    np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-4 * np.abs(numbers[0]).max())


@pytest.fixture(scope="module")
def demo_int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "int8"
    source = DEMO / "checkpoint"
    export(source, folder, origin_of(source), precision="int8", compared=Compared(drawn=40, packaged=False))
    return folder


def test_the_demo_model_in_8_bits_gives_the_captions_of_fp32(demo_int8: Path) -> None:
    manifest = verify_checksums(demo_int8)

    assert manifest.precision == "int8"
    assert manifest.model == verify_checksums(DEMO / "exported").model
    agreement = manifest.agreement
    assert agreement is not None and agreement.is_sufficient
    assert (agreement.reference, agreement.pictures) == ("fp32", {"drawn": 40})
    assert agreement.log_probability_difference < 0.01
    red = Image.new("RGB", (90, 60), "red")
    assert OnnxCaptioner(demo_int8).caption(red) == OnnxCaptioner(DEMO / "exported").caption(red)


def test_8_bits_take_less_than_four_tenths_of_the_bytes_even_for_the_demo_model(demo_int8: Path) -> None:
    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.glob("*.weights"))

    assert size(demo_int8) < 0.4 * size(DEMO / "exported")


@pytest.mark.parametrize("tied", [True, False])
def test_a_checkpoint_with_odd_widths_runs_in_8_bits(tmp_path: Path, tied: bool) -> None:
    transformers_or_skip()
    source = tmp_path / "checkpoint"
    odd = replace(
        HUB_LAYOUT, image_size=42, patch_size=14, vision_width=72, vision_inner=100, vision_heads=3,
        text_width=48, text_inner=80, text_heads=2, text_layers=1,
    )  # fmt: skip
    write_random_checkpoint(source, odd)
    if not tied:
        edit_weights(source, lambda state: state["text_decoder.cls.predictions.decoder.weight"].mul_(-0.7))

    manifest = export(
        source,
        tmp_path / "int8",
        Origin("odd", "0", "none"),
        precision="int8",
        compared=Compared(10, packaged=False),
    )

    assert manifest.agreement is not None
    assert manifest.agreement.equal_tokens > 0.5  # random weights: many tokens are almost equally likely
    assert manifest.agreement.log_probability_difference < 0.2


def layers_of(source: Path, folder: Path) -> Layers:
    """Measure a checkpoint and build its encoder."""
    checkpoint = load_checkpoint(source)
    encoder_graph(checkpoint).save(folder)
    layers = measure(checkpoint, folder)
    encoder_graph(checkpoint, layers)
    return layers


def test_a_few_large_activations_are_balanced_by_the_weights_that_multiply_them(
    checkpoint: Path, tmp_path: Path
) -> None:
    source = edited(checkpoint, tmp_path)

    def enlarge(state: dict[str, object]) -> None:
        for name, weights in state.items():
            if "vision_model.encoder" in name and "layer_norm" in name:
                weights[[3, 40]] *= 300  # type: ignore[index]
            elif name.endswith(("qkv.weight", "fc1.weight")):
                weights[:, [3, 40]] /= 300  # type: ignore[index]

    edit_weights(source, enlarge)

    assert {form for form, _ in layers_of(source, tmp_path).errors.values()} == {"columns"}


def test_a_product_that_8_bits_would_spoil_keeps_more_exact_weights(checkpoint: Path, tmp_path: Path) -> None:
    source = edited(checkpoint, tmp_path)
    fc1, fc2 = (f"vision_model.encoder.layers.1.mlp.fc{number}.weight" for number in (1, 2))

    def enlarge(state: dict[str, object]) -> None:
        state[fc1][0] *= 1000  # type: ignore[index]
        state[fc2][:, 0] /= 1000  # type: ignore[index]

    edit_weights(source, enlarge)

    errors = layers_of(source, tmp_path).errors
    assert {name for name, (form, _) in errors.items() if form != "columns"} == {"encoder.layers.1.mlp.fc2.weight"}


def test_a_model_that_differs_too_much_is_written_and_marked(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (50, 40), "teal").save(pictures / "own.png")
    target = tmp_path / "int8"

    arguments = ["--from", str(checkpoint), "--to", str(target), "--precision", "int8", "--drawn", "20"]
    code = main([*arguments, "--pictures", str(pictures)])

    assert code == 0
    agreement = verify_checksums(target).agreement
    assert agreement is not None and not agreement.is_sufficient  # random weights
    assert (agreement.pictures["drawn"], agreement.pictures["own"]) == (20, 1)
    assert "`make deploy` rejects it unless ALLOW_INEXACT_MODEL=1" in capsys.readouterr().out


def test_own_pictures_are_upright_and_other_files_are_skipped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "sideways.jpg", exif=exif)
    (tmp_path / "notes.txt").write_text("no picture")

    (sample,) = own_pictures(tmp_path)

    assert (sample.name, sample.picture.size) == ("sideways.jpg", (20, 40))


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no pictures"):
        list(own_pictures(tmp_path / "nowhere"))


def test_photographs_come_from_an_installed_package_complete_and_in_parts(tmp_path: Path) -> None:
    assert list(photographs(tmp_path)) == []

    (tmp_path / "skimage" / "data").mkdir(parents=True)
    Image.new("RGB", (100, 50)).save(tmp_path / "skimage" / "data" / "coffee.png")

    samples = list(photographs(tmp_path))
    assert [sample.name for sample in samples] == [f"coffee.png, {crop}" for crop in CROPS]
    assert [sample.picture.size for sample in samples] == [(100, 50)] + 4 * [(60, 30)]
