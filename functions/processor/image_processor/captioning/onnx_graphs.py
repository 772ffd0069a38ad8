"""The two graphs of an export in ONNX Runtime, and the memory that they share.

Every input and output is bound to a permanent array. A step changes a few numbers in these arrays and runs the
graph. Both graphs share the arrays of the cross-attention's keys and values. Those of the self-attention are
updated in place.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from image_core.errors import ModelError
from image_processor.captioning.model_folder import MANIFEST_NAME, Graphs, Precision
from image_processor.cpus import usable_cpus

Floats = NDArray[np.float32]
Array = NDArray[Any]

READ_AHEAD_BYTES = 8 << 20

PREPACKING = False
"""Whether the encoder's fp32 weights are copied to ONNX Runtime's own layout, see
docs/decisions/0007-prepacking.md."""


class BoundGraphs:
    """Encoder and decoder, for one thread. `length`: maximum number of tokens, begin token and prompt included."""

    def __init__(
        self,
        folder: Path,
        graphs: Graphs,
        image_size: int,
        length: int,
        *,
        precision: Precision = "fp32",
        prepacking: bool = PREPACKING,
    ) -> None:
        """Load both. The weights are read once and mapped into memory. Raises `ModelError`, which names the
        file."""
        # ONNX Runtime multiplies blocks of 8-bit weights fast only if they are packed.
        eight_bits = precision == "int8"
        heads, size, positions = graphs.heads, graphs.head_size, graphs.picture_positions
        self._pixels = np.zeros((1, 3, image_size, image_size), dtype=np.float32)
        self._cross: dict[str, Floats] = {}
        self._cache: dict[str, Floats] = {}
        for layer in range(graphs.decoder_layers):
            for part in ("key", "value"):
                self._cross[f"cross_{part}_{layer}"] = np.zeros((heads, positions, size), dtype=np.float32)
                self._cache[f"{part}_{layer}"] = np.zeros((1, heads, length, size), dtype=np.float32)
        self._logits: Floats = np.zeros((1, graphs.vocabulary), dtype=np.float32)
        self._ids, self._positions = np.zeros(length, dtype=np.int64), np.zeros(length, dtype=np.int64)
        self._last_position = np.zeros(1, dtype=np.int32)
        self._length = np.array(length, dtype=np.int32)
        self._encoder = _session(folder / graphs.encoder, _options(prepacking=prepacking or eight_bits))
        self._decoder = _session(folder / graphs.decoder, _options(prepacking=eight_bits))
        _require_fit(folder / graphs.encoder, self._encoder, {"pixels": self._pixels})
        _require_fit(folder / graphs.decoder, self._decoder, self._decoder_inputs(1))
        self._encode = self._bind_encoder()
        self._step = self._bind_decoder(1)

    def start(self, pixels: Floats, ids: list[int]) -> Floats:
        """Encode a picture and prefill with `ids`.

        Returns the logits (vocabulary) of the next token, valid until the next call.
        """
        self._pixels[:] = pixels
        self._encoder.run_with_iobinding(self._encode)
        rows = len(ids)
        self._ids[:rows], self._positions[:rows], self._last_position[0] = ids, range(rows), rows - 1
        self._decoder.run_with_iobinding(self._step if rows == 1 else self._bind_decoder(rows))
        return self._logits.reshape(-1)

    def step(self, token: int) -> Floats:
        """Append a token. Returns the logits (vocabulary) of the next token, valid until the next call."""
        self._last_position[0] += 1
        self._ids[0], self._positions[0] = token, self._last_position[0]
        self._decoder.run_with_iobinding(self._step)
        return self._logits.reshape(-1)

    def _bind_encoder(self) -> Any:
        binding = self._encoder.io_binding()
        binding.bind_input("pixels", **_memory(self._pixels))
        for name, array in self._cross.items():
            binding.bind_output(name, **_memory(array))
        return binding

    def _bind_decoder(self, rows: int) -> Any:
        """Bind the decoder for `rows` tokens at a time."""
        binding = self._decoder.io_binding()
        for name, array in self._decoder_inputs(rows).items():
            binding.bind_input(name, **_memory(array))
        for name, array in self._cache.items():
            binding.bind_output(f"present_{name}", **_memory(array))
        binding.bind_output("logits", **_memory(self._logits))
        return binding

    def _decoder_inputs(self, rows: int) -> dict[str, Array]:
        return {
            "ids": self._ids[:rows],
            "positions": self._positions[:rows],
            "last_position": self._last_position,
            "length": self._length,
            **self._cross,
            **{f"cache_{name}": array for name, array in self._cache.items()},
        }


def _memory(array: Array) -> dict[str, Any]:
    """The memory of an array, for a binding. The binding does not keep the array alive."""
    return {
        "device_type": "cpu",
        "device_id": 0,
        "element_type": array.dtype.type,
        "shape": list(array.shape),
        "buffer_ptr": array.ctypes.data,
    }


def _options(*, prepacking: bool) -> Any:
    options = onnxruntime.SessionOptions()
    # The exported graphs are already optimized.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = usable_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads wait by spinning during a run, but not between runs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.disable_prepacking", "0" if prepacking else "1")
    return options


def _session(path: Path, options: Any) -> Any:
    _read_ahead(path.with_suffix(".weights"))
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ModelError(f"{path} cannot be loaded: {error}") from error


def _read_ahead(weights: Path) -> None:
    """Read a file into the page cache. Otherwise the first caption would read it page by page and out of order,
    which takes several times as long from Lambda's image store."""
    buffer = bytearray(READ_AHEAD_BYTES)
    with suppress(OSError), weights.open("rb", buffering=0) as file:  # ONNX Runtime's error names a missing file
        while file.readinto(buffer):
            pass


def _require_fit(path: Path, session: Any, arrays: dict[str, Array]) -> None:
    """Raise `ModelError` if `arrays`, whose sizes come from model.json, do not match the graph's inputs."""
    wanted = {value.name: value.shape for value in session.get_inputs()}
    for name in wanted.keys() | arrays.keys():
        array = arrays.get(name)
        if array is None or not _fits(array.shape, wanted.get(name, [])):
            raise ModelError(f"{path} does not fit {MANIFEST_NAME}: its input {name} differs")


def _fits(shape: tuple[int, ...], wanted: list[int | str]) -> bool:
    """Whether a shape matches. A named dimension may have any size."""
    return len(shape) == len(wanted) and all(
        isinstance(want, str) or have == want for have, want in zip(shape, wanted, strict=True)
    )
