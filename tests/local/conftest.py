"""moto's server as `python -m local` runs it, and fake functions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from local import ports
from local.child import Child
from local.deploy import EventSource, FunctionConfiguration
from local.environment import credentials, process_environment
from local.event_source import SqsPoller
from local.function import LocalFunction
from tests.local.side_by_side import Both, Emulator
from tests.running_stack import ROOT, until

FAKES = Path(__file__).parent / "fakes"

Wait = Callable[..., Any]


@pytest.fixture(scope="session")
def eventually() -> Wait:
    """Returns a function that calls `check` until it returns a true value, and returns that value."""
    return partial(until, seconds=20)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    plain = process_environment(credentials(external=False), region="us-east-1")
    return plain | {"PYTHONPATH": str(FAKES)}


@pytest.fixture(scope="session")
def aws_url(environment: dict[str, str], eventually: Wait) -> Iterator[str]:
    """The URL of a separate moto server."""
    listening = ports.listen("127.0.0.1", 0, option="")
    child = Child("aws", "local.aws", ["--fd", str(listening.fileno())], environment, pass_fds=[listening.fileno()])
    url = ports.url_of(listening)
    listening.close()
    yield url
    child.stop()


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@pytest.fixture(scope="session")
def sqs(session: boto3.Session, aws_url: str) -> Any:
    return session.client("sqs", endpoint_url=aws_url)


@pytest.fixture(scope="session")
def s3(session: boto3.Session, aws_url: str) -> Any:
    return session.client("s3", endpoint_url=aws_url)


@pytest.fixture
def make_queue(sqs: Any) -> Callable[..., tuple[str, str]]:
    """Returns a function that creates a queue and returns its URL and ARN."""

    def make(**attributes: str) -> tuple[str, str]:
        url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}", Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    return make


class Notes:
    """The calls that the fake functions recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture
def run_processor(
    environment: dict[str, str], aws_url: str, sqs: Any, notes: Notes
) -> Iterator[Callable[..., LocalFunction]]:
    """Returns a function that runs the fake processor on a queue, as `python -m local` would."""
    stopping = threading.Event()
    functions = []
    threads = []

    def run(
        queue: tuple[str, str], *, workers: int = 1, timeout_seconds: float = 20, batch_size: int = 1
    ) -> LocalFunction:
        configuration = FunctionConfiguration("image_processor.handler.handler", timeout_seconds, 128, {})
        env = environment | {"AWS_ENDPOINT_URL": aws_url, "FAKE_NOTES": str(notes.path)}
        function = LocalFunction("processor", configuration, env, workers=workers)
        functions.append(function)
        source = EventSource("ProcessorFunction", *queue, batch_size=batch_size, reports_item_failures=True)
        for _ in range(workers):
            poller = SqsPoller(sqs, source, function, poll_seconds=0.05)
            threads.append(threading.Thread(target=poller.run, args=(stopping,), daemon=True))
            threads[-1].start()
        return function

    yield run
    stopping.set()
    for function in functions:
        function.stop()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


def alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return not Path("/proc").is_dir()


@pytest.fixture(scope="session")
def is_alive() -> Callable[[int], bool]:
    return alive


@pytest.fixture(scope="session")
def both() -> Iterator[Both]:
    """moto with the pipeline's patches, and unpatched moto."""
    with run_moto("--patched") as patched, run_moto() as plain:
        yield Both(Emulator(patched), Emulator(plain))


@contextmanager
def run_moto(*options: str) -> Iterator[str]:
    """Run moto's server and yield its URL."""
    command = [sys.executable, "-m", "tests.local.moto_server", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()
