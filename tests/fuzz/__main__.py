"""`python -m tests.fuzz --minutes 20`: run mutated files through the picture stage.

Prints the outcomes, and the worst time and memory. Those two files, and every file with an unexpected outcome, are
kept in .fuzz/; `python -m tests.fuzz FILE …` runs such files again.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from image_processor.cpus import usable_cpus
from tests.fuzz.campaign import LIMITS, Tally, work
from tests.fuzz.monitored_process import MonitoredProcess
from tests.fuzz.picture_stage import ONLY_LINUX


def report(tally: Tally, minutes: float, first_seed: int) -> None:
    print(f"{tally.cases:,} cases in {minutes:.1f} minutes, from seed {first_seed}")
    for kind, count in tally.kinds.most_common():
        print(f"  {count:9,}  {kind}")
    print("by format: " + ", ".join(f"{name} {count:,}" for name, count in tally.formats.most_common()))
    slowest, largest = tally.slowest, tally.largest
    print(f"worst time   {slowest.amount:8.3f} s    ({slowest.kind}, {slowest.path}); limit {LIMITS.seconds:.0f} s")
    print(
        f"worst memory {largest.amount / 2**20:8.1f} MiB  ({largest.kind}, {largest.path}); "
        f"limit {LIMITS.peak_bytes / 2**20:.0f} MiB; pictures of up to {LIMITS.max_pixels:,} pixels"
    )
    print(f"{len(tally.problems)} outside the list or the limits")
    for path, problem in tally.problems[:50]:
        print(f"  {path}: {problem}")


def again(paths: list[Path]) -> int:
    """Run files again, one by one."""
    problems = 0
    with MonitoredProcess() as process:
        for path in paths:
            outcome = process.run(path.read_bytes(), LIMITS)
            problem = outcome.problem(LIMITS)
            problems += problem is not None
            print(
                f"{path}: {outcome.kind}, {outcome.seconds:.3f} s, {outcome.peak_bytes / 2**20:.1f} MiB",
                problem or "",
            )
    return problems


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="take these instead of mutated ones")
    parser.add_argument("--minutes", type=float, default=20, help="default: %(default)g")
    parser.add_argument("--workers", type=int, default=usable_cpus(), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    options = parser.parse_args()
    if sys.platform != "linux":
        sys.exit(f"python -m tests.fuzz: {ONLY_LINUX}")
    if options.files:
        sys.exit(min(1, again(options.files)))
    started = time.time()
    until = started + 60 * options.minutes
    tally = Tally()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        seeds = [options.seed + 1_000_000 * worker for worker in range(options.workers)]
        for one in pool.map(work, seeds, [until] * options.workers):
            tally.add(one)
    report(tally, (time.time() - started) / 60, options.seed)
    sys.exit(bool(tally.problems))


if __name__ == "__main__":
    main()
