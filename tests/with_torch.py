"""A fixture for tests that run small models with torch; the conftest.py of such a folder imports it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

try:
    import torch
except ModuleNotFoundError:  # it is installed for comparisons alone
    torch = None  # type: ignore[assignment]


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_torch() -> Iterator[None]:
    """Models as small as these gain nothing from more, and on a busy machine the threads wait for each other."""
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
