"""`python -m bench.hostile_exif`: reading EXIF that was made to be slow, against the picture stage of a 12 MP JPEG.

A hostile file should cost about as much as an ordinary photograph. Rounds are interleaved.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from bench.photographs import PHOTOGRAPHS
from bench.picture_ways import WAYS
from bench.report import check_bound, machine, ratio, spread, table
from image_processor.picture.exif.names import NAMES
from image_processor.picture.exif.reading import read_exif
from tests import exif_blocks

ROUNDS = 9
TIMES_PHOTOGRAPH = 2.0
ENTRIES = 60_000
"""About as many as one directory can have."""


def hostile_blocks() -> dict[str, bytes]:
    """EXIF blocks by what is slow about them."""
    controls = [exif_blocks.text(tag, b"\x07" * 16_000) for tag in NAMES]
    return {
        "60,000 tags that share 1 MB": exif_blocks.bomb(ENTRIES, 1_000_000),
        "60,000 tags that share 64 KiB": exif_blocks.bomb(ENTRIES, 64 * 1024),
        "every known tag with 16,000 control characters": exif_blocks.block(controls),
    }


def main() -> None:
    """Entry point."""
    photograph = next(one for one in PHOTOGRAPHS if one.name == "12mp-jpeg")
    photograph.draw()
    data = photograph.path.read_bytes()
    picture_stage = WAYS["ours"]()
    where = machine("pillow")
    blocks = hostile_blocks()
    ways: dict[str, Callable[[], object]] = {"photograph": lambda: picture_stage(data)}
    ways |= {name: lambda block=block: read_exif(block) for name, block in blocks.items()}  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, ROUNDS):  # the first is not counted
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            if number >= 0:
                seconds[name].append(time.perf_counter() - started)
    rows = [[name, spread(seconds[name], 1000, 1), ratio(seconds[name], seconds["photograph"])] for name in blocks]
    print(f"\n## Hostile EXIF\n\n{ROUNDS} interleaved rounds.\n{where}\n")
    print(table(["", "ms, median (range)", "times a 12 MP JPEG"], rows), end="\n\n")
    for name in blocks:
        pairs = zip(seconds[name], seconds["photograph"], strict=True)
        times = median(hostile / ordinary for hostile, ordinary in pairs)
        print(check_bound(f"{name}, times a 12 MP JPEG", times, TIMES_PHOTOGRAPH, at_least=False))


if __name__ == "__main__":
    main()
