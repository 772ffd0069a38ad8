"""What the tests of exports share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.random_checkpoint import write_random_checkpoint
from tests.models.checkpoints import HUB_LAYOUT


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_torch() -> Iterator[None]:
    """Models as small as these gain nothing from more, and on a busy machine the threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "blip"
    write_random_checkpoint(folder, HUB_LAYOUT)
    return folder
