"""One run: draw conditions and users from a seed, run everything to its end, and check the result."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from ops.reconcile import Plan, reconcile
from ops.report import Report
from tests.simulation.invariants import Watch
from tests.simulation.network import Call, Fault, Step
from tests.simulation.stack import IMAGES, Conditions, Stack, simulated
from tests.simulation.users import User
from tests.simulation.world import START_MS

ROUNDS = 60
"""The number of deadlines that may pass until everything must be at rest."""


@dataclass
class Result:
    """The result of one run."""

    seed: int
    violations: list[str]
    trace: list[Step]
    calls: int
    events: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def simulate(seed: int) -> Result:
    """Run a seed with its own conditions.

    Some seeds have many faults of few kinds, some few of all kinds, some none.
    """
    rng = random.Random(seed)
    users = rng.choice([1, 1, 2, 3, 5])
    calm = rng.choice([0.02, 1.0, 5.0, 20.0])
    stack = Stack(seed, draw_conditions(rng))
    runs_reconcile = rng.random() < 0.3
    new_models = rng.choice([0, 0, 1, 2])

    def begin(watch: Watch) -> None:
        for number in range(users):
            user = User(f"user-{number + 1}", stack, watch, rng, lambda: rng.expovariate(1 / calm))
            stack.world.at(rng.uniform(0, calm), partial(stack.world.start, user.name, user.live))
        reader = User("reader", stack, watch, rng, lambda: rng.expovariate(1 / calm))
        stack.world.start("reader", lambda: _read_repeatedly(reader))
        for _ in range(new_models):
            stack.world.at(rng.uniform(10, 200), stack.deploy_model)
        if runs_reconcile:
            # An engineer runs reconcile on the live stack, with the default ages of `ops`.
            stack.world.at(rng.uniform(20, 200), lambda: _start_reconcile(stack, Plan(apply=True), []))

    return run(stack, begin, seed=seed)


def run(stack: Stack, begin: Callable[[Watch], None], *, seed: int = 0, busy_seconds: float = 240) -> Result:
    """Call `begin` to start users, run everything to its end, end the faults, sweep, reconcile and check."""
    started = time.perf_counter()
    watch = Watch(stack)
    with simulated(stack):
        begin(watch)
        _sweep_on_schedule(stack, stack.world.now + busy_seconds)
        stack.world.run(until=stack.world.now + busy_seconds)
        stop_faults(stack)
        come_to_rest(stack, watch)
        if not stack.counts["lost notifications"]:
            _judge(stack, watch, reconciled=False)
        reconciled(stack, Plan(apply=True, min_age_seconds=0, settle_seconds=0, stuck_after_seconds=0))
        come_to_rest(stack, watch)
        _judge(stack, watch, reconciled=True)
        report = reconciled(stack, Plan(min_age_seconds=0, settle_seconds=0, stuck_after_seconds=0))
        watch.expect(
            bool(stack.world.violations) or (report is not None and report.is_clean),
            f"reconcile finds nothing at rest: {report and dict(report.found)}",
        )
    return Result(
        seed=seed,
        violations=stack.world.violations,
        trace=list(stack.network.trace),
        calls=stack.network.calls,
        events=Counter(stack.counts),
        injected=stack.network.injected,
        checked=watch.checked,
        counts={status: watch.expected[status] for status in ("pending", "processing", "success", "failed")},
        seconds=time.perf_counter() - started,
    )


def stop_faults(stack: Stack) -> None:
    """Inject no faults from now on."""
    calm, drawn_before = Conditions(), stack.conditions
    stack.conditions = replace(
        calm,
        visibility_seconds=drawn_before.visibility_seconds,
        concurrency=drawn_before.concurrency,
        max_attempts=drawn_before.max_attempts,
    )
    stack.network.note("the simulation", "no more faults")


def come_to_rest(stack: Stack, watch: Watch) -> None:
    """Empty the queues, let deadlines pass and run the sweep, until nothing is left to do."""
    world = stack.world
    world.run(until=world.now + 200)
    for _ in range(ROUNDS):
        deadlines = [int(item["deadline"]["N"]) for item in _unfinished(stack)]
        if world.violations or (not deadlines and stack.idle()):
            return
        wanted = min([*(deadline / 1000 for deadline in deadlines), world.now + 3600])
        world.run(until=max(world.now, wanted) + 1)
        stack.sweep()
        world.run(until=world.now + 200)
    for item in _unfinished(stack):
        watch.expect(False, f"every image finishes: {item['image_id']['S']} is {item['status']['S']}")
    watch.expect(stack.idle(), f"the queues become empty: {[len(q.messages) for q in stack.sqs.queues.values()]}")
    watch.expect(stack.stream.is_done, "the stream is read completely")


def reconciled(stack: Stack, plan: Plan) -> Report | None:
    """Run `python -m ops reconcile` to its end. Return None if it was interrupted."""
    reports: list[Report] = []
    _start_reconcile(stack, plan, reports)
    stack.world.run(until=stack.world.now + 60)
    return reports[0] if reports else None


def _start_reconcile(stack: Stack, plan: Plan, reports: list[Report]) -> None:
    stack.counts["reconciliations"] = stack.counts.get("reconciliations", 0) + 1

    def run() -> None:
        try:
            reports.append(reconcile(stack.services, plan, sleep=stack.world.sleep))
            found = ", ".join(f"{count} {kind}" for kind, count in reports[-1].found.items())
            stack.network.note("reconcile", "ends", found or "nothing found")
        except Exception as fault:
            # An engineer sees it and runs it again. Errors that are not from AWS are in the log, and reported from
            # there.
            stack.network.note("reconcile", f"ends with {fault!r}")

    stack.world.start("reconcile", run)


def _judge(stack: Stack, watch: Watch, *, reconciled: bool) -> None:
    if not stack.world.violations:
        watch.judge_final_state(reconciled=reconciled)


def draw_conditions(rng: random.Random) -> Conditions:
    """Draw the conditions of a seed."""
    rate = rng.choice([0, 0.02, 0.08, 0.2])
    kinds = [fault for fault in Fault if rng.random() < rng.choice([0.2, 0.8])]
    slow, spread = rng.choice([0.005, 0.05, 0.5]), rng.choice([0.5, 1.5])
    duplicates, delay = rng.choice([0, 0.2, 0.6]), rng.choice([0.1, 2, 40])
    lag, page = rng.choice([0.05, 2, 20]), rng.choice([1, 3, 1000])
    caption, caption_faults = rng.choice([0.2, 3]), rng.choice([0, 0.1, 0.5])
    lost = rng.choice([0, 0, 0.1, 0.4])
    stream_delay = rng.choice([0.1, 2, 40])
    again, partly = rng.choice([0, 0.1]), rng.choice([0, 0.2])

    def faults(call: Call) -> Fault | None:
        # Faults of reads alone do little harm, so writes get more faults.
        if rng.random() >= (rate / 3 if call.is_read else rate):
            return None
        possible = [fault for fault in kinds if call.can_have(fault)]
        return rng.choice(possible) if possible else None

    def event_delays() -> list[float]:
        if rng.random() < lost:
            return []
        copies = 1 + (rng.random() < duplicates) + (rng.random() < duplicates / 3)
        return [rng.expovariate(1 / delay) for _ in range(copies)]

    def caption_fault() -> Exception | None:
        if rng.random() >= caption_faults:
            return None
        return rng.choice([MemoryError("simulated"), RuntimeError("simulated")])

    return Conditions(
        faults=faults,
        latency=lambda: min(5.0, rng.lognormvariate(0, spread) * slow),
        pause=lambda: rng.choice([1.0, 31.0, 70.0, 130.0]) * rng.uniform(0.9, 1.1),
        event_delays=event_delays,
        stream_delay=lambda: rng.expovariate(1 / stream_delay),
        index_lag=lambda: rng.expovariate(1 / lag),
        # A partly written transaction is visible for less than reconcile waits (2 s). In DynamoDB it takes
        # milliseconds.
        hold=lambda: min(1.5, rng.expovariate(1 / slow)),
        caption_seconds=lambda: min(15.0, rng.expovariate(1 / caption)),
        caption_fault=caption_fault,
        again=lambda: rng.random() < again,
        page=lambda: page,
        unprocessed=lambda: rng.random() < partly,
        trailing=lambda: rng.random() < partly,
        visibility_seconds=rng.choice([35, 60, 120]),
        concurrency=rng.choice([1, 2, 4]),
        sweep_every=rng.choice([25, 70]),
        max_attempts=rng.choice([2, 3, 5]),
    )


def _sweep_on_schedule(stack: Stack, until: float) -> None:
    def sweep() -> None:
        if stack.world.now < until:
            stack.sweep()
            stack.world.at(stack.conditions.sweep_every, sweep)

    stack.world.at(stack.conditions.sweep_every, sweep)


def _read_repeatedly(reader: User) -> None:
    for _ in range(3):
        reader.pause()
        ids = sorted(key[0] for key in reader.stack.dynamodb.tables[IMAGES].items)
        if ids:
            reader.read(reader.rng.choice(ids))
        reader.rng.choice([reader.list_all, reader.read_stats])()


def _unfinished(stack: Stack) -> list[dict[str, dict[str, str]]]:
    items = stack.dynamodb.tables[IMAGES].items.values()
    return [item for item in items if item["status"]["S"] not in ("success", "failed")]


def describe(result: Result, steps: int = 60) -> str:
    """Describe the last steps of a failing run by actor and call."""
    lines = [
        f"{step.time - START_MS / 1000:10.3f}  {step.actor:<24} {step.what}{step.outcome and f'  → {step.outcome}'}"
        for step in result.trace[-steps:]
    ]
    return "\n".join([*lines, *(f"VIOLATION  {violation}" for violation in result.violations)])
