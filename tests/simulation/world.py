"""Virtual time, and threads of which exactly one is awake: whoever waits hands on to whoever is next.

The real code runs unchanged in these threads. It gives the word away wherever it calls a client, sleeps, or waits
for what another thread does; the order in which they go on follows from one seed.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any

START_MS = 1_795_168_800_000  # 2026-11-20T10:00:00Z


class Killed(BaseException):
    """The process of this thread is dead. No `except Exception` of the code under test holds it up."""


class Process:
    """What dies as one: a Lambda's sandbox with its threads, or one request to the API."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        """Stopped for longer than its time-out, and going on afterwards: no time-out kills it."""
        self.actors: list[Actor] = []


class Actor:
    """One thread of a process. `wake` is released when it is its turn."""

    __slots__ = ("name", "process", "thread", "ticket", "wake")

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.wake = threading.Lock()
        self.wake.acquire()
        self.ticket = 0
        self.thread: threading.Thread | None = None


class World:
    """The clock, what is to happen next, and who is awake."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = START_MS / 1000
        self.violations: list[str] = []
        self._heap: list[tuple[float, int, int, Actor | Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._main = Actor("main", Process("main"))
        self.current = self._main
        self._until = self.now
        self._over = False
        self._actors: dict[Actor, None] = {}

    def now_ms(self) -> int:
        """The time, as `Records` asks for it."""
        return int(self.now * 1000)

    def report(self, violation: str) -> None:
        """An invariant does not hold; the run ends as soon as the word is given away."""
        self.violations.append(violation)

    # What is to happen

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        """Calls `what` in that time from now, in whichever thread is giving the word away."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), 0, what))

    def start(self, name: str, run: Callable[[], object], process: Process | None = None) -> Actor:
        """A new thread, to begin at once. It has a process of its own if none is given."""
        actor = Actor(name, process or Process(name))
        actor.process.actors.append(actor)
        self._actors[actor] = None

        def body() -> None:
            actor.wake.acquire()
            try:
                if actor.process.alive:
                    run()
            except Killed:
                pass
            except Exception as error:
                self.report(f"{name} ended with {error!r}")
            finally:
                del self._actors[actor]
                actor.process.actors.remove(actor)
                if not self._over:
                    self._hand_on(None)

        actor.thread = threading.Thread(target=body, name=name, daemon=True)
        actor.thread.start()
        self._wake(actor, 0)
        return actor

    def kill(self, process: Process) -> None:
        """From now on nothing that the process does has any effect."""
        if process.alive:
            process.alive = False
            for actor in process.actors:
                if actor is not self.current:
                    self._wake(actor, 0)

    # Giving the word away

    def sleep(self, seconds: float) -> None:
        """Lets time pass for the thread at hand. Raises `Killed` if its process dies meanwhile."""
        actor = self.current
        if actor.process.alive:
            self._wake(actor, seconds)
            self._hand_on(actor)
        if not actor.process.alive:
            raise Killed

    def wait(self, future: Future[Any]) -> None:
        """Until the future is done. Raises `Killed` as `sleep` does."""
        actor = self.current
        if not actor.process.alive:
            raise Killed
        if not future.done():
            future.add_done_callback(lambda _: self._wake(actor, 0))
            self._hand_on(actor)
        if not actor.process.alive:
            raise Killed

    def run(self, until: float) -> None:
        """Lets everything happen until then, and sets the clock to it."""
        self._until = until
        self._hand_on(self._main)
        if not self.violations:
            self.now = until

    def next_time(self) -> float | None:
        """When something is to happen next."""
        return self._heap[0][0] if self._heap else None

    def close(self) -> None:
        """Ends every thread that is left."""
        self._over = True
        for actor in list(self._actors):
            actor.process.alive = False
            self.current = actor
            actor.wake.release()
            assert actor.thread is not None
            actor.thread.join(10)
            assert not actor.thread.is_alive(), f"{actor.name} swallowed its death"

    def _wake(self, actor: Actor, seconds: float) -> None:
        actor.ticket += 1
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), actor.ticket, actor))

    def _hand_on(self, actor: Actor | None) -> None:
        """To whoever is next; comes back when it is the actor's turn again (None: never)."""
        if self._over:
            raise Killed
        following = self._following()
        self.current = following
        if following is not actor:
            following.wake.release()
            if actor is not None:
                actor.wake.acquire()

    def _following(self) -> Actor:
        while self._heap and self._heap[0][0] <= self._until and not self.violations:
            time, _, ticket, what = heapq.heappop(self._heap)
            self.now = max(self.now, time)
            if not isinstance(what, Actor):
                self.current = self._main
                try:
                    what()
                except Exception as error:
                    self.report(f"the simulation itself ended with {error!r}")
            elif ticket == what.ticket and what in self._actors:
                return what
        return self._main


class Promise(Future[Any]):
    """A future whose result is waited for in virtual time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def result(self, timeout: float | None = None) -> Any:
        self._world.wait(self)
        return super().result(0)


class WorldExecutor(Executor):
    """Runs what is submitted in a thread of its own, in the process that submits it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        promise = Promise(self._world)
        submitter = self._world.current

        def run() -> None:
            try:
                promise.set_result(fn(*args, **kwargs))
            except Exception as error:
                promise.set_exception(error)

        self._world.start(f"{submitter.name} executor", run, submitter.process)
        return promise


def serve(world: World, steps: Generator[float, None, Any]) -> Promise:
    """Runs what a server does in steps; it goes on whether or not its caller lives. Each yields seconds to wait."""
    promise = Promise(world)

    def advance() -> None:
        try:
            seconds = next(steps)
        except StopIteration as end:
            promise.set_result(end.value)
        except Exception as error:
            promise.set_exception(error)
        else:
            world.at(seconds, advance)

    advance()
    return promise
