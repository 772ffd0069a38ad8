"""Short stories of one image, told without chance: each is run again for every call that can fail, in every way."""

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
EARLY, MEANWHILE, AFTERWARDS = 0.05, 0.5, 5.0
"""Seconds after the first upload: nobody has looked at it yet; its caption is being made; all is done."""

Story = Callable[[User], None]


def _then(seconds: float, *actions: Story) -> Story:
    """Drops the file, waits, goes on."""

    def story(user: User) -> None:
        user.put(KEY, FIRST)
        for action in actions:
            user.stack.world.sleep(seconds)
            action(user)

    return story


def both(*actions: Story) -> Story:
    """One right after the other."""

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
    """One reprocess for each stage."""
    return both(*[lambda user, stage=stage: user.reprocess(IMAGE_ID, stage, force=force) for stage in stages])


STORIES: dict[str, Story] = {
    "a drop": _then(0),
    "an upload": lambda user: _ignore(_post(user)),
    "a reservation": _reserve_and_put,
    "an upload, deleted at once": _post_and_delete,
    "overwritten early": _then(EARLY, _overwrite),
    "overwritten meanwhile": _then(MEANWHILE, _overwrite),
    "overwritten afterwards": _then(AFTERWARDS, _overwrite),
    "deleted meanwhile": _then(MEANWHILE, _delete),
    "deleted afterwards": _then(AFTERWARDS, _delete),
    "removed early": _then(EARLY, _remove),
    "removed meanwhile": _then(MEANWHILE, _remove),
    "removed afterwards": _then(AFTERWARDS, _remove),
    "deleted through both doors": _then(AFTERWARDS, both(_remove, _delete)),
    "reprocessed meanwhile": _then(MEANWHILE, reprocess("all")),
    "reprocessed afterwards": _then(AFTERWARDS, reprocess("all")),
    "captioned again afterwards": _then(AFTERWARDS, reprocess("caption", force=True)),
    "thumbnails made again afterwards": _then(AFTERWARDS, reprocess("thumbnails")),
    "captioned again and overwritten": _then(AFTERWARDS, both(reprocess("caption"), _overwrite)),
    "overwritten and deleted": _then(MEANWHILE, _overwrite, _delete),
    "deleted and dropped anew": _then(AFTERWARDS, both(_delete, _overwrite)),
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
"""What is tried at each call; a kill before a call is one after the call before."""


def run_story(story: Story, faults: Callable[[Call], Fault | None] = lambda _: None, **conditions: Any) -> Result:
    """One run of a story."""
    stack = Stack(0, replace(Conditions(faults=faults, concurrency=2), **conditions))

    def begin(watch: Watch) -> None:
        user = User("user", stack, watch, random.Random(0), lambda: 1.0)
        stack.world.start("user", lambda: story(user))

    return run(stack, begin, busy_seconds=90)


def with_one_fault(story: Story, kind: Fault) -> Iterator[tuple[int, Result]]:
    """The story with this fault at call n, for every n at which it can be, until a run makes no n-th call."""
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
"""Changes in the bucket; each makes one event."""


def orders(events: int) -> list[tuple[int, ...]]:
    """Every order of so many events, with any of them twice (of three: at most one)."""
    found: set[tuple[int, ...]] = set()
    for copies in itertools.product((1, 2), repeat=events):
        if events < 3 or sum(copies) <= events + 1:
            pile = [event for event, count in enumerate(copies) for _ in range(count)]
            found.update(itertools.permutations(pile))
    return sorted(found)


def run_in_order(changes: list[Story], order: tuple[int, ...], gap_seconds: float) -> Result:
    """The changes at once, then their events in that order, so many seconds apart."""

    def story(user: User) -> None:
        stack = user.stack
        held: list[str] = []
        send = stack.sqs.send_message
        # Events wait here, instead of in the queue.
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
