"""Run a function's real handler in AWS's own runtime, with the Runtime Interface Emulator that sam-cli includes.

It needs no Docker. It serves one call at a time, and its status is 200 even if the function failed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

Invoke = Callable[[Any], Any]

_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_START_SECONDS = 30
_CALL_SECONDS = 120


def emulator() -> Path | None:
    """Return the emulator's binary for this machine, or None if it does not run here (it is a Linux program)."""
    found = importlib.util.find_spec("samcli")
    architecture = _ARCHITECTURES.get(platform.machine())
    if platform.system() != "Linux" or found is None or found.origin is None or architecture is None:
        return None
    path = Path(found.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{architecture}"
    return path if path.is_file() else None


@contextmanager
def running(handler: str, environment: Mapping[str, str], log: Path) -> Iterator[Invoke]:
    """Serve `handler` with the emulator. Yields a function that sends it an event and returns its response."""
    binary = emulator()
    assert binary is not None
    if not os.access(binary, os.X_OK):
        copy = log.parent / binary.name
        copy.write_bytes(binary.read_bytes())
        copy.chmod(0o755)
        binary = copy
    port, runtime_port = _free_ports(2)
    command = [
        str(binary),
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        "--runtime-api-address",
        f"127.0.0.1:{runtime_port}",
        sys.executable,
        "-m",
        "awslambdaric",
        handler,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_TIMEOUT": str(_CALL_SECONDS), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, log)
        yield lambda event: _invoke(port, event)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the emulator and the Python that it started
        process.wait()


def _invoke(port: int, event: Any) -> Any:
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=_CALL_SECONDS) as response:
        return json.load(response)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except (OSError, URLError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the emulator did not start: {log.read_text(errors='replace')}") from error
            threading.Event().wait(0.02)
        else:
            return


def _free_ports(count: int) -> list[int]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return ports
