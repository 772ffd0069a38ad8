"""`python -m bench.prepacking`: the cost of ONNX Runtime's weight prepacking at load time, and its later gain.

Each measurement runs in a new process with a warm page cache, and both ways alternate. It is the basis of
docs/decisions/0007-prepacking.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from bench.blip import TOKENS, prepare
from bench.cold_child import peak_memory
from bench.contestants import Contestant, Turn
from bench.report import machine, spread, table

CAPTIONS = 4


@dataclass(frozen=True)
class Costs:
    """The costs of one process: seconds to load, medians for a picture and for a token, and peak bytes."""

    load: float
    picture: float
    token: float
    peak_bytes: int


def one_process(exported: Path, prepacking: bool) -> Turn:
    """In one turn, load the graphs and caption a few times."""
    from image_processor.captioning.model_folder import read_manifest
    from image_processor.captioning.onnx_graphs import BoundGraphs

    manifest = read_manifest(exported)
    assert manifest.graphs is not None
    sizes, side = manifest.graphs, manifest.image_size

    def turn(_: int) -> Costs:
        started = time.perf_counter()
        graphs = BoundGraphs(exported, sizes, side, 1 + TOKENS, precision=manifest.precision, prepacking=prepacking)
        load = time.perf_counter() - started
        pixels = np.zeros((1, 3, side, side), dtype=np.float32)
        pictures, tokens = [], []
        for _ in range(CAPTIONS):
            started = time.perf_counter()
            graphs.start(pixels, [manifest.token_ids.bos])
            pictures.append(time.perf_counter() - started)
            for token in range(1, TOKENS):
                started = time.perf_counter()
                graphs.step(token)
                tokens.append(time.perf_counter() - started)
        return Costs(load, median(pictures), median(tokens), peak_memory())

    return turn


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.prepacking", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    where = machine("onnxruntime", "numpy")
    model = prepare()
    print(f"\n## Prepacking\n\n{model.name}, {rounds} processes each.\n{where}\n")
    costs: dict[bool, list[Costs]] = {False: [], True: []}
    for _ in range(rounds):
        for prepacking, found in costs.items():
            with Contestant(one_process, model.exported, prepacking, warm=False) as process:
                found.append(process.turn(0)[1])
    rows = [
        [
            name,
            spread([one.load for one in costs[prepacking]]),
            spread([one.picture for one in costs[prepacking]], 1e3, 0),
            spread([one.token for one in costs[prepacking]], 1e3, 1),
            spread([one.peak_bytes for one in costs[prepacking]], 1e-6, 0),
        ]
        for prepacking, name in ((False, "off"), (True, "on"))
    ]
    print(table(["prepacking", "load, s", "picture and first token, ms", "token, ms", "peak memory, MB"], rows))


if __name__ == "__main__":
    main()
