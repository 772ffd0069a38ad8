"""Fixtures for the tests of exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.random_checkpoint import write_random_checkpoint
from tests.models.checkpoints import HUB_LAYOUT
from tests.with_torch import one_thread_for_torch, transformers_or_skip

__all__ = ["checkpoint", "one_thread_for_torch"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint, written by transformers."""
    transformers_or_skip()
    folder = tmp_path_factory.mktemp("hub") / "blip"
    write_random_checkpoint(folder, HUB_LAYOUT)
    return folder
