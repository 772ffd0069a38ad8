"""`python -m bench.cold_start`: new processes from spawn to the first caption, their memory, and the deployed size.

The page cache is warm, and rounds are interleaved.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.blip import TOKENS, WORK, Model, folder_bytes, prepare, prepare_int8
from bench.contestants import picture
from bench.deployed import required_by, size_bytes, with_dependencies
from bench.report import check_bound, machine, ratio, spread, table

REPOSITORY = Path(__file__).parents[1]
REQUIREMENTS = REPOSITORY / "functions" / "processor" / "requirements.txt"
ENGINE_PACKAGES, TRANSFORMERS_PACKAGES = (
    ["onnxruntime", "tokenizers", "numpy", "pillow"],
    ["torch", "transformers", "pillow"],
)
TO_TRANSFORMERS, EXTRA_MEMORY_MB, DEPLOYED_MB = 3.0, 350, 250


@dataclass(frozen=True)
class Start:
    """The result of one new process."""

    seconds: float
    peak_bytes: int
    ids: list[int]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    where = machine("onnxruntime", "transformers", "torch", "numpy")
    model = prepare()
    print(
        f"\n## Cold start\n\n{model.name}, spawn to first caption of {TOKENS} tokens, {rounds} rounds.\n{where}\n"
    )
    eight_bits = prepare_int8(model)
    reference_starts, engine_starts, int8_starts = _measure(model, eight_bits, rounds)
    transformers_mb, engine_mb, both_mb = map(
        _megabytes, (TRANSFORMERS_PACKAGES, ENGINE_PACKAGES, _processor_packages())
    )
    extra_mb = max(one.peak_bytes for one in engine_starts) / 1e6 - model.weights_bytes / 1e6
    times = [[one.seconds for one in starts] for starts in (reference_starts, engine_starts, int8_starts)]
    libraries = [f"{transformers_mb:.0f}", f"{engine_mb:.0f}", f"{engine_mb:.0f}"]
    exports = [f"{folder_bytes(folder) / 1e6:.0f}" for folder in (model.exported, eight_bits)]
    models = [f"{model.weights_bytes / 1e6:.0f}", *exports]
    names = ["torch + transformers", "this engine, fp32", "this engine, int8"]
    memory = [_memory(starts) for starts in (reference_starts, engine_starts, int8_starts)]
    rows = [
        [names[i], spread(times[i]), ratio(times[0], times[i]), memory[i], models[i], libraries[i]]
        for i in range(len(names))
    ]
    header = ["", "seconds, median (range)", "times as fast", "peak memory, MB", "model, MB", "libraries, MB"]
    print(table(header, rows))
    print(f"\nAll packages of the processor: {both_mb:.0f} MB.\n")
    print(check_bound("times as fast", median(times[0]) / median(times[1]), TO_TRANSFORMERS, at_least=True))
    print(check_bound("peak memory beyond the weights, MB", extra_mb, EXTRA_MEMORY_MB, at_least=False))
    print(check_bound("deployed in addition to weights and base image, MB", both_mb, DEPLOYED_MB, at_least=False))


def _measure(model: Model, eight_bits: Path, rounds: int) -> tuple[list[Start], list[Start], list[Start]]:
    path = WORK / "picture.jpg"
    picture(0).save(path, quality=95)
    reference_starts, engine_starts, int8_starts = [], [], []
    for number in range(rounds + 1):
        reference = _start("transformers", model.checkpoint, path)
        engine = _start("onnx", model.exported, path)
        int8 = _start("onnx", eight_bits, path)  # its tokens may differ
        if reference.ids != engine.ids:
            raise SystemExit(f"the captions differ: {reference.ids}, {engine.ids}")
        if number:  # the first round warms the page cache
            reference_starts.append(reference)
            engine_starts.append(engine)
            int8_starts.append(int8)
    return reference_starts, engine_starts, int8_starts


def _start(way: str, folder: Path, path: Path) -> Start:
    command = [sys.executable, "-m", "bench.cold_child", way, str(folder), str(path), str(TOKENS)]
    started = time.perf_counter()
    with subprocess.Popen(  # noqa: S603
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    reported = json.loads(line)
    return Start(seconds, reported["peak_bytes"], reported["ids"])


def _memory(starts: list[Start]) -> str:
    return spread([one.peak_bytes for one in starts], 1e-6, 0)


def _processor_packages() -> list[str]:
    return required_by(REQUIREMENTS)


def _megabytes(packages: list[str]) -> float:
    return sum(map(size_bytes, with_dependencies(packages))) / 1e6


if __name__ == "__main__":
    main()
