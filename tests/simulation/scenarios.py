"""Short deterministic stories of one image. Each is run again with every fault at every call."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from image_core.keys import derived_image_id
from tests.simulation.bodies import picture
from tests.simulation.invariants import Watch
from tests.simulation.network import Call, Fault
from tests.simulation.simulation import Result, run
from tests.simulation.stack import QUEUE, UPLOADS, Conditions, Stack
from tests.simulation.users import User

KEY = "Ferien 2026/Bild (1).png"
IMAGE_ID = derived_image_id(UPLOADS, KEY)
FIRST, SECOND = picture("red"), picture("blue")
EARLY, DURING, AFTERWARDS = 0.05, 0.5, 5.0
"""Seconds after the first upload: before any worker reads it, while it is captioned, after everything is done."""

Story = Callable[[User], None]


def _drop_then(seconds: float, *actions: Story) -> Story:
    """Drop the file, wait, then run the actions."""

    def story(user: User) -> None:
        user.put(KEY, FIRST)
        for action in actions:
            user.stack.world.sleep(seconds)
            action(user)

    return story


def in_sequence(*actions: Story) -> Story:
    """Run the actions one right after the other."""

    def story(user: User) -> None:
        for action in actions:
            action(user)

    return story


def _post(user: User) -> tuple[str, str] | None:
    return user.upload(FIRST, "photo.png")


def _post_and_delete(user: User) -> None:
    posted = _post(user)
    if posted is not None:
        user.delete(*posted)


def _reserve_and_put(user: User) -> None:
    reserved = user.reserve(FIRST, "photo.png")
    if reserved is not None:
        user.put_to(reserved[2], reserved[1], FIRST)


def _overwrite(user: User) -> None:
    user.put(KEY, SECOND)


def _delete(user: User) -> None:
    user.delete(IMAGE_ID, KEY)


def _remove(user: User) -> None:
    user.remove(KEY)


def reprocess(*stages: str, force: bool = False) -> Story:
    """Send one reprocess request for each stage."""
    return in_sequence(
        *[lambda user, stage=stage: user.reprocess(IMAGE_ID, stage, force=force) for stage in stages]
    )


STORIES: dict[str, Story] = {
    "a drop": _drop_then(0),
    "an upload": lambda user: _ignore(_post(user)),
    "a reservation": _reserve_and_put,
    "an upload, deleted immediately": _post_and_delete,
    "overwritten early": _drop_then(EARLY, _overwrite),
    "overwritten during processing": _drop_then(DURING, _overwrite),
    "overwritten afterwards": _drop_then(AFTERWARDS, _overwrite),
    "deleted during processing": _drop_then(DURING, _delete),
    "deleted afterwards": _drop_then(AFTERWARDS, _delete),
    "removed early": _drop_then(EARLY, _remove),
    "removed during processing": _drop_then(DURING, _remove),
    "removed afterwards": _drop_then(AFTERWARDS, _remove),
    "removed, then deleted through the API": _drop_then(AFTERWARDS, in_sequence(_remove, _delete)),
    "reprocessed during processing": _drop_then(DURING, reprocess("all")),
    "reprocessed afterwards": _drop_then(AFTERWARDS, reprocess("all")),
    "captioned again afterwards": _drop_then(AFTERWARDS, reprocess("caption", force=True)),
    "thumbnails made again afterwards": _drop_then(AFTERWARDS, reprocess("thumbnails")),
    "captioned again and overwritten": _drop_then(AFTERWARDS, in_sequence(reprocess("caption"), _overwrite)),
    "overwritten and deleted": _drop_then(DURING, _overwrite, _delete),
    "deleted and dropped again": _drop_then(AFTERWARDS, in_sequence(_delete, _overwrite)),
}

ONE_FAULT = [
    Fault.KILL_AFTER,
    Fault.THROTTLED,
    Fault.SERVER_ERROR,
    Fault.RESET,
    Fault.TIMEOUT,
    Fault.LOST,
    Fault.LATE,
    Fault.TWICE,
    Fault.CUT,
    Fault.PARTIAL,
    Fault.RACING,
    Fault.PAUSE,
]
"""The faults to try at each call. A kill before a call equals a kill after the previous call."""


def run_story(story: Story, faults: Callable[[Call], Fault | None] = lambda _: None, **conditions: Any) -> Result:
    """Run a story once."""
    stack = Stack(0, replace(Conditions(faults=faults, concurrency=2), **conditions))

    def begin(watch: Watch) -> None:
        user = User("user", stack, watch, random.Random(0), lambda: 1.0)
        stack.world.start("user", lambda: story(user))

    return run(stack, begin, busy_seconds=90)


def runs_with_one_fault(story: Story, kind: Fault) -> Iterator[tuple[int, Result]]:
    """Run the story with this fault at call n, for every n at which it can happen, until a run has no n-th call."""
    for number in itertools.count(1):
        reached, can = [False], [False]

        def at(
            call: Call, number: int = number, reached: list[bool] = reached, can: list[bool] = can
        ) -> Fault | None:
            if call.number != number:
                return None
            reached[0] = True
            can[0] = call.can_have(kind)
            return kind if can[0] else None

        result = run_story(story, at)
        if not reached[0]:
            return
        if can[0]:
            yield number, result


EVENTS: dict[str, list[Story]] = {
    "put, put": [lambda user: user.put(KEY, FIRST), _overwrite],
    "put, removed": [lambda user: user.put(KEY, FIRST), _remove],
    "put, put, removed": [lambda user: user.put(KEY, FIRST), _overwrite, _remove],
    "put, removed, put": [lambda user: user.put(KEY, FIRST), _remove, _overwrite],
    "put, put the same, removed": [
        lambda user: user.put(KEY, FIRST),
        lambda user: user.put(KEY, FIRST),
        _remove,
    ],
}
"""Changes in the bucket; each creates one event."""


def orders(events: int) -> list[tuple[int, ...]]:
    """Return every order of that many events, each once or twice (of three events: at most one twice)."""
    found: set[tuple[int, ...]] = set()
    for copies in itertools.product((1, 2), repeat=events):
        if events < 3 or sum(copies) <= events + 1:
            pile = [event for event, count in enumerate(copies) for _ in range(count)]
            found.update(itertools.permutations(pile))
    return sorted(found)


def run_in_order(changes: list[Story], order: tuple[int, ...], gap_seconds: float) -> Result:
    """Make the changes at once, then deliver their events in that order, with that many seconds between them."""

    def story(user: User) -> None:
        stack = user.stack
        held: list[str] = []
        send = stack.sqs.send_message
        # Collect the events instead of sending them to the queue.
        stack.hold_events = lambda body: held.append(json.dumps(body))
        for change in changes:
            change(user)
        for event in order:
            stack.world.sleep(gap_seconds)
            send(QueueUrl=QUEUE, MessageBody=held[event])
        stack.hold_events = None

    return run_story(story)


def _ignore(_: object) -> None:
    return None
