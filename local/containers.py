"""Run functions in Lambda's own containers, with `sam local start-api` and `start-lambda` as child processes."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.child import Child
from local.deploy import FunctionConfiguration
from local.function import InvocationError, WorkerFailed

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_lambda import LambdaClient

CONTAINER_START_SECONDS = 120


class SamLocal:
    """Starts SAM's servers with the environment in `env_file`. Requires `sam build` and a Docker engine.

    `host` is the host name of the API. Pages of the other `origins` may also call it.
    """

    def __init__(
        self,
        env_file: Path,
        parameters: Mapping[str, str],
        env: Mapping[str, str],
        *,
        host: str,
        origins: Iterable[str],
    ) -> None:
        self._gate = ["--served-host", host, *(argument for origin in origins for argument in ("--origin", origin))]
        overrides = [f"{name}={value}" for name, value in parameters.items() if value]
        self._arguments = ["--env-vars", str(env_file), "--parameter-overrides", *overrides]
        self._env = {**env, "SAM_CLI_TELEMETRY": "0"}

    def start_api(self, host: str, port: int) -> Child:
        return self._start("api", "start-api", host, port, "LAZY")

    def start_lambda(self, port: int) -> Child:
        return self._start("lambda", "start-lambda", "127.0.0.1", port, "LAZY")

    def _start(self, name: str, command: str, host: str, port: int, warm: str) -> Child:
        where = ["--host", host, "--port", str(port), "--warm-containers", warm]
        return Child(name, "local.sam", [*self._gate, "local", command, *where, *self._arguments], self._env)


class ContainerFunction:
    """A function behind `sam local start-lambda`. `LocalFunction` is the counterpart for processes."""

    def __init__(self, name: str, logical_id: str, client: LambdaClient) -> None:
        self.name = name
        self._logical_id = logical_id
        self._client = client

    @property
    def workers(self) -> int:
        """1: a warm container handles one call at a time."""
        return 1

    @property
    def pids(self) -> list[int]:
        """An empty list: the function has no processes on this machine."""
        return []

    def wait_until_ready(self) -> None:
        """Return at once: the container starts at the first call."""

    @contextlib.contextmanager
    def reserve(self) -> Iterator[ContainerFunction]:
        """Return the function itself, because it has only one poller."""
        yield self

    def invoke(self, event: Any) -> Any:
        """Return the handler's result for `event`."""
        try:
            response = self._client.invoke(FunctionName=self._logical_id, Payload=json.dumps(event).encode())
            payload = json.loads(response["Payload"].read() or b"null")
        except (BotoCoreError, ClientError, ValueError) as error:
            raise WorkerFailed(f"the container could not be invoked: {error}") from error
        # SAM responds with 200 if a function failed, and with an empty body if it timed out.
        if (
            response.get("FunctionError")
            or payload is None
            or (isinstance(payload, dict) and "errorType" in payload)
        ):
            details = payload or {"errorType": "Sandbox.Timedout"}
            raise InvocationError(f"{details.get('errorType')}: {details.get('errorMessage', '')}")
        return payload

    def stop(self) -> None:
        """Do nothing: SAM removes the container when it ends."""


def lambda_client(session: Session, port: int, functions: Mapping[str, FunctionConfiguration]) -> LambdaClient:
    """A client of `sam local start-lambda`. Its timeout is longer than any function's."""
    longest = max(function.timeout_seconds for function in functions.values())
    config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=longest + CONTAINER_START_SECONDS)
    return session.client("lambda", endpoint_url=f"http://127.0.0.1:{port}", config=config)


def free_port() -> int:
    """Return a port that is free at this moment. SAM does not accept a socket that is already open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
