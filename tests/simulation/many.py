"""Many images at once, with a fixed share of duplicate events and killed workers: the statistics must be exact."""

from __future__ import annotations

import random

from tests.simulation.bodies import some_file
from tests.simulation.invariants import Watch
from tests.simulation.network import Call, Fault
from tests.simulation.simulation import Result, run
from tests.simulation.stack import Conditions, Stack
from tests.simulation.users import User

DUPLICATED = 0.20
DOOMED = 0.09
"""The share of workers that are selected.

Some finish before the call at which they would die, so that 5% of all die.
"""
_CALLS_OF_A_WORKER = 12


def many_images(images: int, seed: int = 0) -> Result:
    """Upload that many images, every second one through the API. One in ten is not an image."""
    rng = random.Random(seed)
    doomed: dict[str, int] = {}

    def faults(call: Call) -> Fault | None:
        worker = call.actor.partition(" ")[0]
        if not worker.startswith("worker"):
            return None
        if worker not in doomed:
            doomed[worker] = rng.randrange(1, _CALLS_OF_A_WORKER) if rng.random() < DOOMED else 0
        if doomed[worker] == 0:
            return None
        doomed[worker] -= 1
        return Fault.KILL_AFTER if doomed[worker] == 0 else None

    conditions = Conditions(
        faults=faults,
        latency=lambda: rng.expovariate(1 / 0.02),
        event_delays=lambda: [rng.expovariate(1) for _ in range(2 if rng.random() < DUPLICATED else 1)],
        index_lag=lambda: rng.expovariate(1 / 0.5),
        caption_seconds=lambda: rng.uniform(0.2, 1),
        concurrency=10,
        sweep_every=60,
    )
    stack = Stack(seed, conditions)

    def begin(watch: Watch) -> None:
        def uploads() -> None:
            user = User("user", stack, watch, rng, lambda: 0.0)
            for number in range(images):
                stack.world.sleep(rng.expovariate(1 / 0.1))
                if number % 2:
                    user.upload(some_file(rng, sniffable=True), f"{number}.png")
                else:
                    user.put(f"drop/{number}.png", some_file(rng))
            watch.expect(True, "all were uploaded")

        stack.world.start("user", uploads)

    result = run(stack, begin, seed=seed, busy_seconds=max(300.0, images * 0.5))
    if sum(result.counts.values()) != images:
        result.violations.append(f"no upload is lost: {sum(result.counts.values())} of {images} images exist")
    return result
