"""One running stack for all tests of this folder; for each test a door to it, and an imgpipe that goes through."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Imgpipe
from tests.cli.door import Door, door_to
from tests.pictures import jpeg
from tests.running_stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), "--workers", "1", "--model", "demo") as stack:
        yield stack


@pytest.fixture
def door(stack: Stack) -> Iterator[Door]:
    with door_to(str(stack.api.base_url)) as door:
        yield door


@pytest.fixture
def imgpipe(door: Door, tmp_path: Path) -> Imgpipe:
    return Imgpipe(door.url, tmp_path / "journal.sqlite3")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Eight pictures in a folder, each another one, with names that no other test has."""
    folder = tmp_path / "photos"
    folder.mkdir()
    name = uuid.uuid4().hex[:12]
    paths = [folder / f"{name}-{number}.jpg" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(jpeg(60 + number, 40))
    return paths


def names_on(stack: Stack, paths: list[Path]) -> list[str]:
    """The names of those images of the stack that have one of these files' names."""
    wanted = {path.name for path in paths}
    return sorted(name for image in stack.images() if (name := image["data"]["original_name"]) in wanted)
