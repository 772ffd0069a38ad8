"""`python -m bench.images`: the picture stage (metadata, all renditions, the caption model's array).

Ours is compared with two ways of using Pillow at full size, with libvips, and with ours without the rendition for
the screen.

Rounds are interleaved, so that other load on the machine affects all of them. Ratios are computed round by round.
Each way has its own process; memory is measured in new ones.
"""

from __future__ import annotations

import argparse
from statistics import median

from bench.contestants import Contestant
from bench.photographs import PHOTOGRAPHS, Photograph
from bench.picture_memory import REFERENCES, peak_above_start
from bench.picture_quality import Quality, qualities
from bench.picture_ways import WAYS, WITHOUT, turns
from bench.report import check_bound, machine, ratio, spread, table

TIMES_NAIVE = {
    "12mp-jpeg": 4.5,
    "24mp-jpeg": 7.0,
    "48mp-progressive": 2.0,
    "12mp-png": 1.4,
    "12mp-rgba-png": 1.2,
    "12mp-webp": 1.5,
}
TIMES_WITHOUT_LARGE = {"12mp-jpeg": 1.6}
"""At most this many times the stage without the rendition for the screen."""
SMALL_TIMES_NAIVE = 0.95
MEBIBYTES_ABOVE_START = {"12mp-jpeg": 8.0}
THUMBNAIL_DECIBELS = 45.0
ARRAY_DIFFERENCE = 0.25
COMPARED = [way for way in WAYS if way != WITHOUT]
"""The ways that make the same renditions."""
SHORT_TURN_SECONDS = 0.1
"""Turns with small pictures are repeated for about this long, because a single one would be lost in the noise."""
MEBIBYTE = 2**20


def main() -> None:
    """Entry point."""
    names = [one.name for one in PHOTOGRAPHS]
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="FILE", help=", ".join(names))
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--skip-quality", action="store_true")
    options = parser.parse_args()
    chosen = [one for one in PHOTOGRAPHS if one.name in options.only]
    where = machine("pillow", "pyvips-binary", "numpy")
    for photograph in chosen:
        photograph.draw()
    print(f"\n## The picture stage\n\n{options.rounds} interleaved rounds.\n{where}\n", flush=True)
    checks = _times(chosen, options.rounds)
    if not REFERENCES.exists():
        print("Memory is not measured: only Linux can report the peak since a given time.\n")
    elif not options.skip_memory:
        checks += _memory(chosen)
    if not options.skip_quality:
        checks += _quality(chosen)
    print("\n".join(checks))


def _times(photographs: list[Photograph], rounds: int) -> list[str]:
    seconds_by_way = _measure(photographs, rounds)
    rows, checks = [], []
    for one in photographs:
        by_way = {way: seconds_by_way[way, one.name] for way in WAYS}
        rows.append(
            [
                one.title,
                f"{one.path.stat().st_size / 1e6:.2f}",
                *(spread(by_way[way], 1000, 1) for way in WAYS),
                *(ratio(by_way["naive"], by_way[way]) for way in ("ours", "libvips")),
                ratio(by_way["thumbnail()"], by_way["ours"]),
                ratio(by_way["ours"], by_way[WITHOUT]),
            ]
        )
        times_naive = median(slow / fast for slow, fast in zip(by_way["naive"], by_way["ours"], strict=True))
        bound = TIMES_NAIVE.get(one.name, SMALL_TIMES_NAIVE)
        checks.append(check_bound(f"{one.title}, times as fast as naive", times_naive, bound, at_least=True))
        if one.name in TIMES_WITHOUT_LARGE:
            pairs = zip(by_way["ours"], by_way[WITHOUT], strict=True)
            times, bound = median(more / less for more, less in pairs), TIMES_WITHOUT_LARGE[one.name]
            checks.append(check_bound(f"{one.title}, time with large, times without", times, bound, at_least=False))
    titles = [f"{way}, ms, median (range)" for way in WAYS]
    print(
        table(
            [
                "",
                "MB",
                *titles,
                "ours, times naive",
                "libvips, times naive",
                "ours, times thumbnail()",
                "time with large, times without",
            ],
            rows,
        ),
        end="\n\n",
        flush=True,
    )
    return checks


def _measure(photographs: list[Photograph], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Measure seconds per picture, by way and photograph, round by round."""
    paths = [one.path for one in photographs]
    once = [1] * len(paths)
    with Contestant(turns, "naive", paths, once) as pilot:
        repeats = [max(1, round(SHORT_TURN_SECONDS / pilot.turn(number)[0])) for number in range(len(paths))]
    seconds_by_way: dict[tuple[str, str], list[float]] = {
        (way, one.name): [] for way in WAYS for one in photographs
    }
    contestants = {way: Contestant(turns, way, paths, repeats) for way in WAYS}
    order = list(WAYS)
    try:
        for contestant in contestants.values():
            contestant.__enter__()
        for number_of_round in range(-1, rounds):  # the first is not counted
            order = order[1:] + order[:1]
            for number, photograph in enumerate(photographs):
                for way in order:
                    seconds, _ = contestants[way].turn(number)
                    if number_of_round >= 0:
                        seconds_by_way[way, photograph.name].append(seconds / repeats[number])
    finally:
        for contestant in contestants.values():
            contestant.__exit__(None, None, None)
    return seconds_by_way


def _memory(photographs: list[Photograph]) -> list[str]:
    rows, checks = [], []
    for one in photographs:
        peaks = {way: peak_above_start(way, one) / MEBIBYTE for way in WAYS}
        size = one.path.stat().st_size / MEBIBYTE
        rows.append([one.title, f"{size:.1f}", *(f"+{peaks[way]:.1f}" for way in WAYS)])
        if one.name in MEBIBYTES_ABOVE_START:
            bound = MEBIBYTES_ABOVE_START[one.name]
            checks.append(check_bound(f"{one.title}, MiB above the start", peaks["ours"], bound, at_least=False))
    print("Peak memory in MiB, above a process that has loaded its libraries and read the file.\n")
    print(table(["", "the bytes", *WAYS], rows), end="\n\n", flush=True)
    return checks


def _quality(photographs: list[Photograph]) -> list[str]:
    rows, checks = [], []
    for one in photographs:
        by_way = qualities(one.path.read_bytes())
        rows.append(
            [
                one.title,
                *(_quality_cell(by_way[way], size) for size in ("large", "medium", "small") for way in COMPARED),
            ]
        )
        rows[-1] += [f"{by_way[way].array:.2f}" for way in COMPARED]
        worst = min(by_way["ours"].scaled.values())
        checks.append(check_bound(f"{one.title}, dB of the thumbnails", worst, THUMBNAIL_DECIBELS, at_least=True))
        array = by_way["ours"].array
        checks.append(check_bound(f"{one.title}, difference of the array", array, ARRAY_DIFFERENCE, at_least=False))
    sizes = [f"{size}, {way}" for size in ("large", "medium", "small") for way in COMPARED]
    print("Thumbnails: dB against an exact Lanczos in floating point, before encoding (as served).")
    print("Array: mean absolute difference, of 255, from that of the picture decoded whole.\n")
    print(table(["", *sizes, *(f"array, {way}" for way in COMPARED)], rows), end="\n\n", flush=True)
    return checks


def _quality_cell(quality: Quality, size: str) -> str:
    return f"{quality.scaled[size]:.1f} ({quality.encoded[size]:.1f})"


if __name__ == "__main__":
    main()
