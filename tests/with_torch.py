"""torch and transformers. Tests that compare with them are skipped if they are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def torch_or_skip() -> Any:
    """Return the module torch. Skips the test, or the calling module, if it is not installed."""
    return _import("torch")


def transformers_or_skip() -> Any:
    """Return the module transformers. Skips the test, or the calling module, if it is not installed."""
    torch_or_skip()
    return _import("transformers")


def _import(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed (`make test` without TORCH=0 installs it)")


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_torch() -> Iterator[None]:
    """Models this small gain nothing from more threads, and on a busy machine the threads wait for each other."""
    try:
        import torch
    except ModuleNotFoundError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
