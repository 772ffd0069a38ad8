"""Virtual time, and threads of which exactly one runs at a time.

The real code runs unchanged in these threads. A thread yields to the next one whenever it calls a client, sleeps,
or waits for another thread. The order in which they continue follows from one seed.
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
    """The thread's process is dead.

    As a BaseException it passes through every `except Exception` of the code under test.
    """


class Process:
    """Threads that die together: a Lambda environment, or one request to the API."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        """Stopped for longer than its timeout, and continuing afterwards: no timeout kills it."""
        self.actors: list[Actor] = []


class Actor:
    """One thread of a process. `wake` is released when it is the thread's turn."""

    __slots__ = ("name", "process", "thread", "ticket", "wake")

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.wake = threading.Lock()
        self.wake.acquire()
        self.ticket = 0
        self.thread: threading.Thread | None = None


class World:
    """The clock, the scheduled actions, and the current thread."""

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
        """Return the time as `Records` needs it."""
        return int(self.now * 1000)

    def report(self, violation: str) -> None:
        """Report a violated invariant. The run ends when the current thread yields."""
        self.violations.append(violation)

    # Scheduling

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        """Call `what` after that many seconds, in the thread that yields at that time."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), 0, what))

    def start(self, name: str, run: Callable[[], object], process: Process | None = None) -> Actor:
        """Start a new thread immediately, in a new process unless one is given."""
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
                    self._switch_from(None)

        actor.thread = threading.Thread(target=body, name=name, daemon=True)
        actor.thread.start()
        self._wake(actor, 0)
        return actor

    def kill(self, process: Process) -> None:
        """Kill the process: nothing that it does has any effect from now on."""
        if process.alive:
            process.alive = False
            for actor in process.actors:
                if actor is not self.current:
                    self._wake(actor, 0)

    # Yielding

    def sleep(self, seconds: float) -> None:
        """Let time pass for the current thread. Raises `Killed` if its process dies meanwhile."""
        actor = self.current
        if actor.process.alive:
            self._wake(actor, seconds)
            self._switch_from(actor)
        if not actor.process.alive:
            raise Killed

    def wait(self, future: Future[Any]) -> None:
        """Wait until the future is done. Raises `Killed` as `sleep` does."""
        actor = self.current
        if not actor.process.alive:
            raise Killed
        if not future.done():
            future.add_done_callback(lambda _: self._wake(actor, 0))
            self._switch_from(actor)
        if not actor.process.alive:
            raise Killed

    def run(self, until: float) -> None:
        """Run everything that is scheduled until then, and set the clock to that time."""
        self._until = until
        self._switch_from(self._main)
        if not self.violations:
            self.now = until

    def next_time(self) -> float | None:
        """Return the time of the next scheduled action."""
        return self._heap[0][0] if self._heap else None

    def close(self) -> None:
        """End all remaining threads."""
        self._over = True
        for actor in list(self._actors):
            actor.process.alive = False
            self.current = actor
            actor.wake.release()
            assert actor.thread is not None
            actor.thread.join(10)
            assert not actor.thread.is_alive(), f"{actor.name} caught Killed and continued"

    def _wake(self, actor: Actor, seconds: float) -> None:
        actor.ticket += 1
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), actor.ticket, actor))

    def _switch_from(self, actor: Actor | None) -> None:
        """Switch to the next thread. Returns when it is the actor's turn again (never for None)."""
        if self._over:
            raise Killed
        following = self._next_actor()
        self.current = following
        if following is not actor:
            following.wake.release()
            if actor is not None:
                actor.wake.acquire()

    def _next_actor(self) -> Actor:
        while self._heap and self._heap[0][0] <= self._until and not self.violations:
            time, _, ticket, what = heapq.heappop(self._heap)
            self.now = max(self.now, time)
            if not isinstance(what, Actor):
                self.current = self._main
                try:
                    what()
                except Exception as error:
                    self.report(f"the simulation itself raised {error!r}")
            elif ticket == what.ticket and what in self._actors:
                return what
        return self._main


class Promise(Future[Any]):
    """A future whose result is awaited in virtual time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def result(self, timeout: float | None = None) -> Any:
        self._world.wait(self)
        return super().result(0)


class WorldExecutor(Executor):
    """Runs each submitted function in a new thread of the submitting process."""

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
    """Run a server's work in steps, even if its caller dies. Each step yields the seconds to wait."""
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
