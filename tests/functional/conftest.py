"""One emulator for all functional tests, and a stack for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.functional.emulator import Clients, Stack, served
from tests.functional.http_api import Api


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    with served() as url:
        yield Clients(url)


@pytest.fixture
def make_stack(clients: Clients) -> Iterator[Callable[..., Stack]]:
    """Create stacks with custom settings.

    After each test, verify that the counters equal a recount of the records.
    """
    stacks: list[Stack] = []

    def make(**settings: Any) -> Stack:
        stacks.append(Stack(clients, **settings))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.assert_counters_equal_a_recount()


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack()


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack.services)
