"""A Lambda function on this machine: a few worker processes, each of which runs one invocation at a time."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from local import logs
from local.child import Child, describe_exit
from local.deploy import FunctionConfiguration

_RESTART_SECONDS = 1.0
_RELOAD_POLL_SECONDS = 0.1


class InvocationError(Exception):
    """The handler raised an error, timed out, or its process ended."""


class WorkerFailed(InvocationError):
    """A worker's process ended before it could run an invocation."""


class Invoked(Protocol):
    """An invocable object that handles one event at a time."""

    def invoke(self, event: Any) -> Any:
        """Return the handler's result. Raises `InvocationError`."""


class Function(Protocol):
    """The interface of a function for its event sources."""

    @property
    def name(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def pids(self) -> list[int]: ...
    def wait_until_ready(self) -> None: ...
    def reserve(self) -> contextlib.AbstractContextManager[Invoked]: ...
    def stop(self) -> None: ...


class Worker:
    """One process of a function."""

    def __init__(self, name: str, configuration: FunctionConfiguration, env: Mapping[str, str]) -> None:
        self._timeout_seconds = configuration.timeout_seconds
        arguments = [name, "--handler", configuration.handler, "--memory", str(configuration.memory_megabytes)]
        self._child = Child(name, "local.worker", arguments, env)
        self._responses: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.is_ready = False
        self.is_outdated = False
        threading.Thread(target=self._read_responses, name=f"{name}-responses", daemon=True).start()

    def _read_responses(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # the pipe is closed when the worker is stopped
            for line in self._child.stdout:
                self._responses.put(json.loads(line))
        self._responses.put(None)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return self._child.exit_code is None

    def wait_until_ready(self) -> None:
        """Return once the handler is imported. The import does not count as invocation time."""
        if not self.is_ready:
            if self._responses.get() is None:
                raise WorkerFailed(f"the worker did not start: {self._end()}")
            self.is_ready = True

    def invoke(self, event: Any) -> Any:
        """Return the handler's result for `event`. At the timeout, the process is killed, as on Lambda."""
        request = {"request_id": str(uuid.uuid4()), "event": event, "timeout_seconds": self._timeout_seconds}
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            response = self._responses.get(timeout=self._timeout_seconds)
        except queue.Empty:
            self.stop()
            raise InvocationError(f"timed out after {self._timeout_seconds:.2f} seconds") from None
        except OSError:
            response = None
        if response is None:
            raise InvocationError(f"the worker ended: {self._end()}")
        if "error" in response:
            raise InvocationError(f"{response['error']['errorType']}: {response['error']['errorMessage']}")
        return response["result"]

    def _end(self) -> str:
        self.stop(grace_seconds=1)
        return describe_exit(self._child.exit_code)

    def stop(self, grace_seconds: float = 0) -> None:
        self._child.stop(grace_seconds)


class LocalFunction:
    """A function with one worker per concurrent execution. A worker that ended is replaced."""

    def __init__(
        self, name: str, configuration: FunctionConfiguration, env: Mapping[str, str], *, workers: int
    ) -> None:
        self.name = name
        self._configuration = configuration
        self._env = env
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._running = [self._start() for _ in range(workers)]
        self._free: queue.Queue[Worker] = queue.Queue()
        for worker in self._running:
            self._free.put(worker)

    def _start(self) -> Worker:
        return Worker(self.name, self._configuration, self._env)

    def _replace(self, worker: Worker) -> Worker:
        worker.stop()
        with self._starting:
            if self._stopping.is_set():
                raise WorkerFailed("shutting down")
            successor = self._start()
            self._running[self._running.index(worker)] = successor
        logs.write(self.name, f"new worker, pid {successor.pid}")
        return successor

    @property
    def workers(self) -> int:
        """Maximum number of concurrent invocations."""
        return len(self._running)

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._running]

    def wait_until_ready(self) -> None:
        """Return once every worker is ready for an invocation. Raises `WorkerFailed` if one cannot start."""
        for worker in list(self._running):
            worker.wait_until_ready()

    def reload(self) -> None:
        """Replace every worker as soon as it has finished its invocation. Returns once all new ones are ready."""
        with self._starting:
            for worker in self._running:
                worker.is_outdated = True
        while any(worker.is_outdated or not worker.is_ready for worker in list(self._running)):
            if self._stopping.wait(_RELOAD_POLL_SECONDS):
                return

    @contextlib.contextmanager
    def reserve(self) -> Iterator[Worker]:
        """Reserve a worker that is ready until the end of the block."""
        worker = self._free.get()
        try:
            if worker.is_outdated or not worker.is_alive:
                worker = self._replace(worker)
            worker.wait_until_ready()
            yield worker
        except WorkerFailed:
            self._stopping.wait(_RESTART_SECONDS)
            raise
        finally:
            self._free.put(worker)

    def stop(self) -> None:
        """Kill the workers. They are not replaced."""
        with self._starting:
            self._stopping.set()
        for worker in self._running:
            worker.stop()
