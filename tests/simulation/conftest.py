"""A moto server with which the fakes are compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.emulator import Clients, moto


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    with moto() as url:
        yield Clients(url)
