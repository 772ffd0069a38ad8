"""Run seeds for some minutes on all cores, a single seed, or a seed with a deliberate bug."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import nullcontext

from tests import conftest  # makes sure that no AWS account can be reached
from tests.simulation.bugs import BUGS
from tests.simulation.many import DUPLICATED, many_images
from tests.simulation.simulation import Result, describe, simulate

SEEDS_A_TASK = 20
COMMAND = "python -m tests.simulation --seed"
assert conftest


def main() -> int:
    """Return the exit code: 0 without a violation (with --bug: if the bug was found), else 1."""
    options = _options()
    if options.images:
        result = many_images(options.images, options.seed or 0)
        print(_describe_many(result, options.images))
        return 1 if result.violations else 0
    if options.seed is not None:
        result = _one((options.seed, options.bug))
        print(describe(result, options.steps))
        print(f"seed {options.seed}: {result.calls} calls, {len(result.violations)} violations")
        return 1 if result.violations else 0
    return _search(options)


def _search(options: argparse.Namespace) -> int:
    """Run seeds until the time is up, or with a bug until it is found."""
    started = time.monotonic()
    until = started + (120 if options.bug else options.minutes * 60)
    sums = {name: Counter[str]() for name in ("events", "injected", "checked")}
    seeds = calls = 0
    failing: list[Result] = []
    for result in _results(options, until):
        seeds += 1
        calls += result.calls
        for name, sum_of in sums.items():
            sum_of.update(getattr(result, name))
        if result.violations:
            failing.append(result)
            if options.bug or len(failing) >= 5:
                break
    seconds = time.monotonic() - started
    print(f"seeds              {seeds} in {seconds:.0f} s ({seeds / seconds:.0f} a second), from {options.start}")
    print(f"calls of clients   {calls}")
    print(f"events             {_listed(sums['events'])}")
    print(f"faults injected    {sums['injected'].total()}: {_listed(sums['injected'])}")
    print(f"invariants checked {sums['checked'].total()}:")
    for name, count in sorted(sums["checked"].items()):
        print(f"  {count:>12}  {name}")
    for result in failing[: 1 if options.bug else 2]:
        print(f"\n{describe(result, options.steps)}")
    bug = f" --bug {options.bug}" if options.bug else ""
    for result in failing:
        print(f"to see it again: {COMMAND} {result.seed}{bug}")
    if options.bug:
        print(f"bug {options.bug}: {'found' if failing else 'NOT FOUND'} after {seeds} seeds, {seconds:.0f} s")
        return 0 if failing else 1
    print(f"violations         {len(failing)}")
    return 1 if failing else 0


def _results(options: argparse.Namespace, until: float) -> Iterator[Result]:
    """Yield results as they arrive, from one process for each core."""
    first = options.start
    with ProcessPoolExecutor(options.processes) as pool:
        running: set[Future[list[Result]]] = set()
        try:
            while time.monotonic() < until or running:
                while time.monotonic() < until and len(running) < options.processes * 2:
                    running.add(pool.submit(_several, first, options.bug))
                    first += SEEDS_A_TASK
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            for future in running:
                future.cancel()


def _several(first: int, bug: str | None) -> list[Result]:
    results = []
    for seed in range(first, first + SEEDS_A_TASK):
        result = _one((seed, bug))
        if not result.violations:
            result.trace = []
        results.append(result)
        if bug and result.violations:
            break
    return results


def _one(task: tuple[int, str | None]) -> Result:
    seed, bug = task
    with BUGS[bug]() if bug else nullcontext():
        return simulate(seed)


def _describe_many(result: Result, images: int) -> str:
    counts = result.counts
    killed = result.injected["killed after"] / max(1, result.events["invocations"])
    lines = [
        f"images {images}, calls {result.calls}, {result.seconds:.0f} s",
        f"workers killed: {killed:.1%}; events duplicated: {DUPLICATED:.0%}",
        f"events: {_listed(result.events)}",
        f"faults injected: {_listed(result.injected)}",
        f"total {sum(counts.values())}, success {counts['success']}, failed {counts['failed']}; equal to a recount:"
        f" {'no' if result.violations else 'yes'}",
        *(f"VIOLATION  {violation}" for violation in result.violations),
    ]
    return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long to run seeds (default 10)")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one seed, with its trace")
    parser.add_argument("--steps", type=int, default=60, help="length of a trace")
    parser.add_argument(
        "--bug", choices=sorted(BUGS), help="put this bug in; exit code 0 if it is found in 2 minutes"
    )
    parser.add_argument(
        "--images", type=int, help="one run with that many images, 20%% duplicates, 5%% killed workers"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
