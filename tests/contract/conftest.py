"""One running stack for generated clients and schemathesis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running_stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("contract"), "--workers", "1", "--model", "demo") as stack:
        yield stack
