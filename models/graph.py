"""Write an ONNX graph: operators one by one, and weights in a separate file that can be mapped into memory.

The graphs are written, not traced. The features that make them fast (fused operators, the layout of the weights, a
cache that is updated in place) have no counterpart in PyTorch that a tracer could find. See
docs/decisions/0006-written-graphs.md.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

OPSET = 20
IR_VERSION = 10
FUSED = "com.microsoft"
"""The domain of ONNX Runtime's own operators. The ones used here run on any CPU."""

ALIGNMENT = 4096
"""Alignment in bytes. Weights begin at page boundaries."""
PANEL = 32
"""Number of columns in a panel, see `Graph.linear`."""

Array = NDArray[np.generic]
_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
}


class Graph:
    """A graph under construction. Values are identified by their names."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: list[int | str], dtype: str = "float32") -> str:
        """Declare an input. A dimension with a name is not fixed."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))
        return name

    def output(self, name: str, shape: list[int | str], value: str | None = None) -> str:
        """Declare an output. `value`: the existing value that gets this name."""
        if value is not None:
            producer = next(node for node in self._nodes if value in node.output)
            producer.output[list(producer.output).index(value)] = name
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def weight(self, name: str, array: Array) -> str:
        """Add a constant. It is read when the graph is saved, so a view of a file takes no memory until then."""
        assert name not in self._weights, name
        self._weights[name] = array
        return name

    def shape(self, *dimensions: int) -> str:
        """A constant for `Reshape`: 0 keeps a dimension, -1 is the remaining one."""
        name = "shape_" + "_".join(map(str, dimensions)).replace("-", "m")
        if name not in self._weights:
            self.weight(name, np.array(dimensions, dtype=np.int64))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output."""
        return self.ops(kind, *inputs, domain=domain, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, domain: str = "", outputs: int, **attributes: Any) -> list[str]:
        """Add an operator with several outputs."""
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(
            helper.make_node(
                kind, list(inputs), names, name=f"{kind}_{len(self._nodes)}", domain=domain, **attributes
            )
        )
        return names

    def reshape(self, value: str, *dimensions: int) -> str:
        return self.op("Reshape", value, self.shape(*dimensions))

    def linear(self, value: str, name: str, matrix: Array) -> str:
        """Multiply (rows, K) by `matrix` (K, N), for few rows. The time is dominated by reading the matrix.

        A matrix with N columns can be read fastest, without being packed first, if it is stored in panels of a few
        columns each: (N / PANEL, K, PANEL). The panels are the batch of one MatMul.
        """
        depth, columns = matrix.shape
        if columns % PANEL:
            return self.op("MatMul", value, self.weight(name, matrix))
        count = columns // PANEL
        panels = self.weight(name, matrix.reshape(depth, count, PANEL).transpose(1, 0, 2))
        product = self.op("MatMul", value, panels)  # (count, rows, PANEL)
        return self.reshape(self.op("Transpose", product, perm=[1, 0, 2]), -1, columns)

    def save(self, folder: Path) -> None:
        """Write `<name>.onnx` and `<name>.weights`."""
        data = f"{self._name}.weights"
        initializers = []
        with (folder / data).open("wb") as file:
            for name, array in self._weights.items():
                file.write(b"\0" * (-file.tell() % ALIGNMENT))
                initializers.append(_external(name, array, data, file.tell()))
                file.write(np.ascontiguousarray(array).data)
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)],
            ir_version=IR_VERSION,
            producer_name="models.export",
        )
        path = folder / f"{self._name}.onnx"
        path.write_bytes(model.SerializeToString())
        onnx.checker.check_model(str(path))


def _external(name: str, array: Array, location: str, offset: int) -> onnx.TensorProto:
    if str(array.dtype) in ("int64", "int32"):  # ONNX Runtime reads shapes and indices while it loads
        return onnx.numpy_helper.from_array(array, name)
    tensor = TensorProto(
        name=name,
        data_type=_TYPES[str(array.dtype)],
        dims=array.shape,
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in {"location": location, "offset": offset, "length": array.nbytes}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
