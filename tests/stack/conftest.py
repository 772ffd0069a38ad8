"""One running stack for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running_stack import Stack, running_stack

# The image of a killed worker can be claimed again after 18 seconds, and its message is visible again after 20.
TIMING = {
    "Processor.Timeout": 8,
    "Processor.VisibilityTimeout": 20,
    "Processor.PendingTimeout": 10,
    "Recovery.VisibilityTimeout": 20,
}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    options = ["--workers", "1", "--model", "demo", "--sweep-seconds", "1"]
    for name, seconds in TIMING.items():
        options += ["--timing", f"{name}={seconds}"]
    with running_stack(tmp_path_factory.mktemp("stack"), *options) as stack:
        yield stack
