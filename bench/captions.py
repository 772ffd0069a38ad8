"""`python -m bench.captions`: a caption with transformers' `generate`, with our engine, and the machine's limit.

Our engine runs in fp32 and with 8-bit weights. If OpenVINO is installed (`pip install openvino`), it runs the same
graphs. Rounds are interleaved, so that other load on the machine affects all of them. Ratios are computed round by
round.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from bench.blip import TOKENS, Model, folder_bytes, prepare, prepare_int8, work_of
from bench.contestants import Contestant, onnx_way, transformers_way
from bench.floor import Rates, floor_rates
from bench.openvino_way import openvino_way, plain_decoder
from bench.report import check_bound, machine, ratio, spread, table

TO_TRANSFORMERS, TO_FLOOR = 2.2, 1.5
INT8_TO_TRANSFORMERS, INT8_TO_FP32, INT8_BYTES = 3.8, 0.5, 0.3
REFERENCE, FP32, INT8 = "transformers `generate`", "this engine, fp32", "this engine, int8"


@dataclass
class Entry:
    """One way to caption, and its results round by round."""

    contestant: Contestant
    shown: bool = True
    """Whether it is a row of the table."""
    exact: bool = True
    """Whether it must give the tokens of transformers."""
    seconds: list[float] = field(default_factory=list)
    same: int = 0
    """Number of rounds with the tokens of transformers."""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.captions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    peers = ["openvino"] if find_spec("openvino") else []
    model = prepare()
    eight_bits = prepare_int8(model)
    where = machine("onnxruntime", "transformers", "torch", "numpy", *peers)
    print(f"\n## Captions\n\n{model.name}, {TOKENS} tokens, {rounds} interleaved rounds.\n{where}\n")
    with ExitStack() as running:
        entries = {name: _start(running, entry) for name, entry in _entries(model, eight_bits, bool(peers)).items()}
        limit = running.enter_context(Contestant(floor_rates))
        rates = _run(entries, limit, rounds)
    _print_table(entries, rates, model, rounds)
    _print_bounds(entries, rates, model, eight_bits)


def _entries(model: Model, eight_bits: Path, with_openvino: bool) -> dict[str, Entry]:
    entries = {
        REFERENCE: Entry(Contestant(transformers_way, model.checkpoint, TOKENS)),
        FP32: Entry(Contestant(onnx_way, model.exported, TOKENS)),
        f"{FP32}, one token": Entry(Contestant(onnx_way, model.exported, 1), shown=False),
        INT8: Entry(Contestant(onnx_way, eight_bits, TOKENS), exact=False),
        f"{INT8}, one token": Entry(Contestant(onnx_way, eight_bits, 1), shown=False, exact=False),
    }
    if with_openvino:
        plain = plain_decoder(model.checkpoint, model.exported.with_name("plain"))
        for kind in ("f32", "bf16"):
            entries[f"OpenVINO, {kind}"] = Entry(
                Contestant(openvino_way, model.exported, plain, TOKENS, kind), exact=kind == "f32"
            )
        entries["OpenVINO, our int8 graphs"] = Entry(
            Contestant(openvino_way, eight_bits, eight_bits / "decoder.onnx", TOKENS), exact=False
        )
    return entries


def _start(running: ExitStack, entry: Entry) -> Entry:
    running.enter_context(entry.contestant)
    return entry


def _run(entries: dict[str, Entry], limit: Contestant, rounds: int) -> list[Rates]:
    rates: list[Rates] = []
    for number in range(1, rounds + 1):
        rates.append(limit.turn(number)[1])
        expected: list[int] = []
        for name, entry in entries.items():
            seconds, ids = entry.contestant.turn(number)
            entry.seconds.append(seconds)
            expected = expected or ids
            same = ids == expected[: len(ids)]
            entry.same += same
            wrong_length = entry.shown and len(ids) != 1 + TOKENS
            if wrong_length or (entry.exact and not same):
                raise SystemExit(f"round {number}, {name}: {ids}, expected {expected}")
    return rates


def _print_table(entries: dict[str, Entry], rates: list[Rates], model: Model, rounds: int) -> None:
    floor, slow = _floor(rates, model), entries[REFERENCE].seconds
    floors = [floor] * rounds
    rows = []
    for name, entry in entries.items():
        if not entry.shown:
            continue
        same = f"{entry.same} of {rounds}"
        rows.append([name, spread(entry.seconds), ratio(slow, entry.seconds), ratio(entry.seconds, floors), same])
        if (first := entries.get(f"{name}, one token")) is not None:
            pairs = zip(entry.seconds, first.seconds, strict=True)
            step = [(whole - start) / (TOKENS - 1) for whole, start in pairs]
            rows.append(["of which picture and first token", spread(first.seconds), "", "", ""])
            rows.append(["of which each further token", spread(step, digits=4), "", "", ""])
    rows.append(["floor of this machine, fp32", f"{floor:.2f}", ratio(slow, floors), "1.00", ""])
    header = [
        "",
        "seconds, median (range)",
        "times as fast as transformers",
        "times the floor",
        "captions with the same tokens",
    ]
    print(table(header, rows))


def _print_bounds(entries: dict[str, Entry], rates: list[Rates], model: Model, eight_bits: Path) -> None:
    work, floor = work_of(model.checkpoint), _floor(rates, model)
    slow, ours, small = (entries[name].seconds for name in (REFERENCE, FP32, INT8))
    best, exported, small_export = _best(rates), folder_bytes(model.exported), folder_bytes(eight_bits)
    print(
        f"\nFloor: {work.picture_flop / 1e9:.0f} GFLOP at {best.flop / 1e9:.0f} GFLOP/s and {TOKENS} times "
        f"{work.token_bytes / 1e6:.0f} MB at {best.read / 1e9:.0f} GB/s; the best of all rounds, which gave "
        f"{spread([one.flop for one in rates], 1e-9, 0)} GFLOP/s and "
        f"{spread([one.read for one in rates], 1e-9, 0)} GB/s.\n"
        f"Exports: fp32 {exported / 1e6:.0f} MB, int8 {small_export / 1e6:.0f} MB.\n"
    )
    share = median(one / other for one, other in zip(small, ours, strict=True))
    print(
        check_bound(
            "fp32, times as fast as transformers", median(slow) / median(ours), TO_TRANSFORMERS, at_least=True
        )
    )
    print(check_bound("fp32, times the floor", median(ours) / floor, TO_FLOOR, at_least=False))
    print(
        check_bound(
            "int8, times as fast as transformers", median(slow) / median(small), INT8_TO_TRANSFORMERS, at_least=True
        )
    )
    print(check_bound("int8, share of fp32's time", share, INT8_TO_FP32, at_least=False))
    print(check_bound("int8, share of fp32's bytes", small_export / exported, INT8_BYTES, at_least=False))


def _floor(rates: list[Rates], model: Model) -> float:
    work, best = work_of(model.checkpoint), _best(rates)
    return work.picture_flop / best.flop + TOKENS * work.token_bytes / best.read


def _best(rates: list[Rates]) -> Rates:
    return Rates(max(one.flop for one in rates), max(one.read for one in rates))


if __name__ == "__main__":
    main()
