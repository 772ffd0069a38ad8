"""Products of a graph with 8-bit weights, see `models.quantize`."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnx

from models.graph import FUSED, Graph
from models.quantize import BLOCK, Form, blocks, columns
from models.weights import Floats


class Forms(Protocol):
    """Decides how the products of a graph are stored."""

    def form(self, name: str, matrix: Floats) -> Form:
        """The form of a product."""
        ...

    def balance(self, readers: Mapping[str, Floats]) -> Floats | None:
        """Numbers to divide a value by, and to multiply the rows of the matrices (by name) that read it. None: do
        neither."""
        ...


class Exact:
    """All products in fp32."""

    def form(self, name: str, matrix: Floats) -> Form:  # noqa: ARG002
        return "fp32"

    def balance(self, readers: Mapping[str, Floats]) -> None:  # noqa: ARG002
        return None


class Products:
    """Adds products to a graph, each in the form that `forms` chooses."""

    def __init__(self, graph: Graph, forms: Forms) -> None:
        self._graph = graph
        self._forms = forms
        self._rounded: dict[str, list[str]] = {}
        self.inputs: dict[str, str] = {}
        """The value that each product multiplies, by the product's name."""

    def form(self, value: str, name: str, matrix: Floats) -> Form:
        """The form of a product that multiplies `value`."""
        self.inputs[name] = value
        return self._forms.form(name, matrix)

    def multiply(self, value: str, name: str, matrix: Floats, bias: tuple[str, Floats] | None = None) -> str:
        """Multiply (…, K) by `matrix` (K, N), and add `bias`, its name and numbers (N), if there is one."""
        form, graph = self.form(value, name, matrix), self._graph
        if form == "fp32":
            product = graph.op("MatMul", value, graph.weight(name, matrix))
            return graph.op("Add", product, graph.weight(*bias)) if bias else product
        added = graph.weight(*bias) if bias else ""
        if form == "blocks":
            return multiply_blocks(graph, value, name, matrix, added)
        return self._multiply_columns(value, name, matrix, added)

    def _multiply_columns(self, value: str, name: str, matrix: Floats, bias: str) -> str:
        graph = self._graph
        if value not in self._rounded:  # products of the same value share its rounding
            self._rounded[value] = graph.ops("DynamicQuantizeLinear", value, outputs=3)
        rounded, scale, zero = self._rounded[value]
        integers, scales = columns(matrix)
        weights = graph.weight(name, integers), graph.weight(f"{name}.scales", scales)
        inputs = [rounded, weights[0], scale, weights[1], zero, "", bias]
        return graph.op("MatMulIntegerToFloat", *(inputs if bias else inputs[:5]), domain=FUSED)


def multiply_blocks(graph: Graph, value: str, name: str, matrix: Floats, bias: str = "") -> str:
    """Multiply (…, K) by `matrix` (K, N), whose weights are stored in blocks."""
    integers, scales = blocks(matrix)
    table = graph.weight(name, integers), graph.weight(f"{name}.scales", scales)
    return multiply_table(graph, value, table, matrix.shape, bias)


def multiply_table(graph: Graph, value: str, table: tuple[str, ...], shape: tuple[int, ...], bias: str = "") -> str:
    """Multiply (…, K) by a matrix of `shape` (K, N) that `table` holds in blocks: its integers and its scales."""
    depth, width = shape
    return graph.op(
        "MatMulNBits",
        value,
        *table,
        *(["", "", bias] if bias else []),
        domain=FUSED,
        K=depth,
        N=width,
        bits=8,
        block_size=BLOCK,
        accuracy_level=4,  # round the activations to 8 bits, too
    )


def look_up(graph: Graph, table: tuple[str, ...], ids: str, width: int) -> str:
    """The columns `ids` of a matrix in blocks, as fp32 rows (ids, width)."""
    integers = graph.op("Cast", graph.op("Gather", table[0], ids, axis=0), to=onnx.TensorProto.FLOAT)
    count = -(-width // BLOCK)
    scales = graph.reshape(graph.op("Gather", table[1], ids, axis=0), -1, count, 1)
    middle = graph.weight("middle", np.array(128, dtype=np.float32))
    values = graph.op("Mul", graph.op("Sub", integers, middle), scales)
    rows = graph.reshape(values, -1, count * BLOCK)
    if width == count * BLOCK:
        return rows
    ends = [
        graph.weight(f"look_up.{name}", np.array([at])) for name, at in (("from", 0), ("to", width), ("axis", 1))
    ]
    return graph.op("Slice", rows, *ends)
