"""One running stack for all tests of this folder.

Each test gets a proxy in front of it, and an imgpipe that uses the proxy.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Imgpipe
from tests.cli.proxy import Proxy, run_proxy
from tests.pictures import jpeg
from tests.running_stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), "--workers", "1", "--model", "demo") as stack:
        yield stack


@pytest.fixture
def proxy(stack: Stack) -> Iterator[Proxy]:
    with run_proxy(str(stack.api.base_url)) as proxy:
        yield proxy


@pytest.fixture
def imgpipe(proxy: Proxy, tmp_path: Path) -> Imgpipe:
    return Imgpipe(proxy.url, tmp_path / "journal.sqlite3")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Eight different pictures in a folder, with names that no other test uses."""
    folder = tmp_path / "photos"
    folder.mkdir()
    name = uuid.uuid4().hex[:12]
    paths = [folder / f"{name}-{number}.jpg" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(jpeg(60 + number, 40))
    return paths


def names_on(stack: Stack, paths: list[Path]) -> list[str]:
    """Return the names of the stack's images that have the name of one of these files."""
    wanted = {path.name for path in paths}
    return sorted(name for image in stack.images() if (name := image["data"]["original_name"]) in wanted)
