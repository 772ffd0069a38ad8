"""Settings for all tests: no test can reach a real AWS account, whatever the developer's environment is.

Also: which tests must run in one process when `make test` uses all cores.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("browser", "containers")
"""Folders whose tests share a browser and a running stack, or the output of `sam build`."""
SLOWEST = ("browser", "stack", "cli", "models", "simulation", "functional", "local", "ops")
"""Folders that run first, so that no core waits for them at the end."""

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores SIGINT for background processes, and every process that a test interrupts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    from tests.iam.recorded import RecordedCalls

    config.pluginmanager.register(RecordedCalls())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: folders.get(item.nodeid.split("/")[1], len(folders)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use one more than the number of cores, because tests wait during a quarter of their time."""
    return (os.cpu_count() or 1) + 1


class Scheduling(LoadFileScheduling):
    """The tests of a file share their fixtures, so they stay in one process. So do the tests of some folders."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.split("/")[1]
        return folder if folder in TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)
