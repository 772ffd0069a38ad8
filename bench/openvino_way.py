"""A caption with OpenVINO, which runs the graphs of our exports. Install it with `pip install openvino`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.contestants import Turn, picture
from image_processor.captioning.model_folder import read_manifest
from image_processor.captioning.preprocess import Preprocessor
from image_processor.cpus import usable_cpus
from models.blip import load_checkpoint
from models.decoder_graph import decoder_graph
from models.graph import Array, Graph


def openvino_way(exported: Path, decoder_path: Path, tokens: int, precision: str = "f32") -> Turn:
    """Caption like our engine. `precision`: what OpenVINO computes in ("f32", or "bf16" if the CPU has it)."""
    import openvino

    manifest = read_manifest(exported)
    graphs = manifest.graphs
    assert graphs is not None
    core: Any = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": usable_cpus(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    encoder, decoder = (
        core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
        for path in (exported / graphs.encoder, decoder_path)
    )
    preprocess = Preprocessor(manifest.image_size, graphs.image_mean, graphs.image_std)
    shape = (1, graphs.heads, 1 + tokens, graphs.head_size)
    names = [f"{part}_{layer}" for layer in range(graphs.decoder_layers) for part in ("key", "value")]

    def caption(number: int) -> list[int]:
        encoder.infer({"pixels": preprocess(picture(number))})
        given: dict[str, Any] = {f"cross_{name}": encoder.get_tensor(f"cross_{name}") for name in names}
        given |= {f"cache_{name}": np.zeros(shape, dtype=np.float32) for name in names}
        given["length"] = np.array(1 + tokens, dtype=np.int32)
        ids = [manifest.token_ids.bos]
        while len(ids) <= tokens:
            last = len(ids) - 1
            given["ids"], given["positions"] = np.array(ids[-1:]), np.array([last])
            given["last_position"] = np.array([last], dtype=np.int32)
            decoder.infer(given)
            given |= {f"cache_{name}": decoder.get_tensor(f"present_{name}").data.copy() for name in names}
            ids.append(int(decoder.get_tensor("logits").data.argmax()))
            if ids[-1] == manifest.token_ids.eos:
                break
        return ids

    return caption


class _PlainGraph(Graph):
    """A graph whose matrices are not stored in panels. OpenVINO has a layout of its own."""

    def linear(self, value: str, name: str, matrix: Array) -> str:
        return self.op("MatMul", value, self.weight(name, matrix))


def plain_decoder(checkpoint: Path, folder: Path) -> Path:
    """Write the fp32 decoder for OpenVINO, which cannot multiply by panels. Returns its graph."""
    folder.mkdir(exist_ok=True)
    decoder_graph(load_checkpoint(checkpoint), graph=_PlainGraph("decoder")).save(folder)
    return folder / "decoder.onnx"
