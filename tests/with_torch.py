"""torch and transformers: the tests that compare with them are skipped where they are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def torch_or_skip() -> Any:
    """Returns the module torch. Skips the test, or the module that calls this, where it is not installed."""
    return _import("torch")


def transformers_or_skip() -> Any:
    """Returns the module transformers. Skips the test, or the module that calls this, where it is not installed."""
    torch_or_skip()
    return _import("transformers")


def _import(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed (`make test` without TORCH=0 installs it)")


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_torch() -> Iterator[None]:
    """Models as small as these gain nothing from more, and on a busy machine the threads wait for each other."""
    try:
        import torch
    except ModuleNotFoundError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
