"""`python -m bench.captions`: a caption with transformers' `generate`, with our engine, and the machine's limit.

Rounds are interleaved, so that other load on the machine affects all of them. Ratios are computed round by round.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from bench.blip import TOKENS, prepare, work_of
from bench.contestants import Contestant, onnx_way, transformers_way
from bench.floor import Rates, floor_rates
from bench.report import check_bound, machine, ratio, spread, table

TO_TRANSFORMERS, TO_FLOOR = 2.2, 1.5


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.captions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    where = machine("onnxruntime", "transformers", "torch", "numpy")
    model = prepare()
    print(f"\n## Captions\n\n{model.name}, {TOKENS} tokens, fp32, {rounds} interleaved rounds.\n{where}\n")
    reference_seconds, engine_seconds, short, rates = _measure(model.checkpoint, model.exported, rounds)
    work = work_of(model.checkpoint)
    best = Rates(max(one.flop for one in rates), max(one.read for one in rates))
    floor = work.picture_flop / best.flop + TOKENS * work.token_bytes / best.read
    step = [(whole - start) / (TOKENS - 1) for whole, start in zip(engine_seconds, short, strict=True)]
    floors = [floor] * rounds
    rows = [
        [
            "transformers `generate`",
            spread(reference_seconds),
            ratio(reference_seconds, reference_seconds),
            ratio(reference_seconds, floors),
        ],
        [
            "this engine",
            spread(engine_seconds),
            ratio(reference_seconds, engine_seconds),
            ratio(engine_seconds, floors),
        ],
        ["of which picture and first token", spread(short), "", ""],
        ["of which each further token", spread(step, digits=4), "", ""],
        ["floor of this machine", f"{floor:.2f}", ratio(reference_seconds, floors), "1.00"],
    ]
    print(table(["", "seconds, median (range)", "times as fast as transformers", "times the floor"], rows))
    print(
        f"\nFloor: {work.picture_flop / 1e9:.0f} GFLOP at {best.flop / 1e9:.0f} GFLOP/s and {TOKENS} times "
        f"{work.token_bytes / 1e6:.0f} MB at {best.read / 1e9:.0f} GB/s; the best of all rounds, which gave "
        f"{spread([one.flop for one in rates], 1e-9, 0)} GFLOP/s and "
        f"{spread([one.read for one in rates], 1e-9, 0)} GB/s.\n"
    )
    print(
        check_bound(
            "times as fast as transformers",
            median(reference_seconds) / median(engine_seconds),
            TO_TRANSFORMERS,
            at_least=True,
        )
    )
    print(check_bound("times the floor", median(engine_seconds) / floor, TO_FLOOR, at_least=False))


def _measure(
    checkpoint: Path, exported: Path, rounds: int
) -> tuple[list[float], list[float], list[float], list[Rates]]:
    reference_seconds, engine_seconds, short = [], [], []
    rates: list[Rates] = []
    with (
        Contestant(transformers_way, checkpoint, TOKENS) as reference,
        Contestant(onnx_way, exported, TOKENS) as engine,
        Contestant(onnx_way, exported, 1) as first_token,
        Contestant(floor_rates) as machine_floor,
    ):
        for number in range(1, rounds + 1):
            rates.append(machine_floor.turn(number)[1])
            seconds, expected = reference.turn(number)
            reference_seconds.append(seconds)
            seconds, ids = engine.turn(number)
            engine_seconds.append(seconds)
            short.append(first_token.turn(number)[0])
            if ids != expected or len(ids) != 1 + TOKENS:
                raise SystemExit(
                    f"round {number}: {len(ids) - 1} tokens, {len(expected) - 1} expected: {ids}, {expected}"
                )
    return reference_seconds, engine_seconds, short, rates


if __name__ == "__main__":
    main()
