"""MiniStack for tests, in its own environment."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from local import ports
from local.child import Child
from local.environment import credentials, emulator_environment, process_environment
from local.options import MINISTACK
from tests.running_stack import ROOT, until

PYTHON = str(MINISTACK / "bin" / "python")
needs_ministack = pytest.mark.skipif(
    not (MINISTACK / "installed").exists(), reason="MiniStack is not installed (make test-ministack installs it)"
)


def environment() -> dict[str, str]:
    plain = process_environment(credentials(external=False), region="us-east-1")
    return emulator_environment(plain)


@contextmanager
def ministack(*arguments: str, every_service: bool = False) -> Iterator[str]:
    """Run MiniStack as `python -m local` does, or unmodified with every service. Yields its URL."""
    with run_unmodified() if every_service else run_as_local(*arguments) as url:
        yield url


@contextmanager
def run_as_local(*arguments: str) -> Iterator[str]:
    listening = ports.listen("127.0.0.1", 0, option="")
    fd = listening.fileno()
    child = Child(
        "aws", "local.ministack", ["--fd", str(fd), *arguments], environment(), pass_fds=[fd], python=PYTHON
    )
    url = ports.url_of(listening)
    listening.close()
    try:
        yield url
    finally:
        child.stop(grace_seconds=30)


@contextmanager
def run_unmodified() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR"}
    with subprocess.Popen([PYTHON, "-m", "ministack"], env=environment() | settings, cwd=ROOT) as process:
        url = f"http://127.0.0.1:{port}"

        def responds() -> bool:
            try:
                return httpx.get(f"{url}/health", trust_env=False).is_success
            except httpx.TransportError:
                return False

        try:
            until(responds, seconds=30)
            yield url
        finally:
            process.terminate()
