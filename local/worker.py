"""A process that runs one function, like a Lambda execution environment.

`python -m local.worker NAME --handler module.function` reads one JSON request per line from standard input. It
writes one JSON response per line to its original standard output. Output of the handler goes to standard error,
with the logs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import queue
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from local.lifeline import read_until_parent_ends

Handler = Callable[[Any, "Context"], Any]


@dataclass(frozen=True)
class Context:
    """The `context` that Lambda passes."""

    function_name: str
    memory_limit_in_mb: str
    aws_request_id: str
    invoked_function_arn: str
    deadline: float = field(repr=False)
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return f"local-{os.getpid()}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is stopped."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def load(path: str) -> Handler:
    """Import the function `package.module.function`.

    If the module has a `warm_up`, it is also called. Slow work, such as loading a model, is then done before the
    first invocation and does not count as its time.
    """
    module_name, _, name = path.rpartition(".")
    module = importlib.import_module(module_name)
    if warm_up := getattr(module, "warm_up", None):
        warm_up()
    handler: Handler = getattr(module, name)
    return handler


def invoke(handler: Handler, name: str, memory_megabytes: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"result": …}`, or Lambda's error object if the handler raises."""
    context = Context(
        function_name=name,
        memory_limit_in_mb=str(memory_megabytes),
        aws_request_id=request["request_id"],
        invoked_function_arn=f"arn:aws:lambda:{os.environ['AWS_REGION']}:000000000000:function:{name}",
        deadline=time.monotonic() + request["timeout_seconds"],
    )
    try:
        result = handler(request["event"], context)
        json.dumps(result)
        return {"result": result}
    except Exception as error:
        traceback.print_exc()
        return {"error": {"errorType": type(error).__name__, "errorMessage": str(error)}}


class _JsonFormatter(logging.Formatter):
    """Formats log records with their extra fields, for `logs.shorten`."""

    _STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: str(value) for name, value in vars(record).items() if name not in self._STANDARD}
        fields |= {"level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _log_as_json() -> None:
    """Add a handler to the root logger. Lambda's runtime also does this before it imports the function."""
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(_JsonFormatter())
    logging.basicConfig(handlers=[to_stderr], level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def _respond_on(protocol: TextIO, response: Mapping[str, Any]) -> None:
    protocol.write(json.dumps(response) + "\n")
    protocol.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.worker")
    parser.add_argument("name", help="processor, recovery, stream, webhooks: what `ps` shows")
    parser.add_argument("--handler", required=True)
    parser.add_argument("--memory", type=int, required=True, help="megabytes, passed to the handler")
    arguments = parser.parse_args()

    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    read_until_parent_ends(lambda line: requests.put(json.loads(line)))

    _log_as_json()
    handler = load(arguments.handler)
    _respond_on(protocol, {"ready": True})
    while True:
        _respond_on(protocol, invoke(handler, arguments.name, arguments.memory, requests.get()))


if __name__ == "__main__":
    main()
