"""The machine's limits: how fast the fastest available library multiplies matrices and reads memory.

A caption cannot take less time than its arithmetic and its memory reads at these rates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.contestants import Turn

ROWS, INNER, COLUMNS = 577, 768, 3072
"""The largest product of BLIP-base: positions, width, inner width."""
READ_BYTES = 512 * 2**20
ATTEMPTS = 4


@dataclass(frozen=True)
class Rates:
    """Operations and bytes per second."""

    flop: float
    read: float


def floor_rates() -> Turn:
    """Measure the rates several times in each round, and return the best."""
    import onnx
    import onnxruntime
    import torch
    from onnx import helper

    random = np.random.default_rng(0)
    left = random.standard_normal((ROWS, INNER), dtype=np.float32)
    right = random.standard_normal((INNER, COLUMNS), dtype=np.float32)
    torch_left, torch_right = torch.from_numpy(left), torch.from_numpy(right)

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", onnx.TensorProto.FLOAT, [ROWS, INNER])],
        [helper.make_tensor_value_info("product", onnx.TensorProto.FLOAT, [ROWS, COLUMNS])],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    data = torch.ones(READ_BYTES // 4)
    table, vector = data.view(-1, 4096), torch.ones(4096)

    products: list[Callable[[], object]] = [
        lambda: left @ right,
        lambda: torch_left @ torch_right,
        lambda: session.run(None, {"left": left}),
    ]
    readings: list[Callable[[], object]] = [lambda: data.sum(), lambda: data.amax(), lambda: table @ vector]

    def turn(_: int) -> Rates:
        flop = 2.0 * ROWS * INNER * COLUMNS
        return Rates(flop / min(map(_best, products)), READ_BYTES / min(map(_best, readings)))

    return turn


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some attempts."""
    times = []
    for _ in range(ATTEMPTS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
