"""Importing the code and collecting the tests needs nothing that only Linux has.

`make check` also runs mypy for macOS, which finds such uses inside functions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLUGIN = """
import importlib, os, pkgutil, resource, socket, sys

ONLY_LINUX = {
    os: ("sched_getaffinity", "sched_setaffinity", "memfd_create", "pidfd_open", "eventfd"),
    resource: ("prlimit",),
    socket: ("SO_BINDTODEVICE",),
}
PACKAGES = (
    "image_core image_api image_processor image_recovery image_stream image_webhooks imgpipe local ops models bench"
).split()
OPTIONAL = ("torch", "transformers", "pyvips")  # not part of every installation

for module, names in ONLY_LINUX.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(arguments[0])


sys.addaudithook(refuse)


def pytest_collection_finish():
    for name in PACKAGES:
        folders = [str(path) for path in importlib.import_module(name).__path__]
        for found in pkgutil.walk_packages(folders, f"{name}."):
            if found.name.endswith(("__main__", "image_api.main", "image_processor.main")):
                continue  # they begin to work when they are imported
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if error.name not in OPTIONAL:
                    raise
"""


@pytest.mark.slow
def test_everything_can_be_imported_and_collected_without_linux(tmp_path: Path) -> None:
    (tmp_path / "without_linux.py").write_text(PLUGIN)
    search = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-p", "without_linux", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, "--collect-only", "-qq", "-m", ""],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
