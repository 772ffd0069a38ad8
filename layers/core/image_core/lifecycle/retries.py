"""Retry an operation that lost a race against another writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from image_core.errors import Superseded

MAX_TRIES = 5
"""If a record changes during every one of these tries, other workers are handling it."""

T = TypeVar("T")


def until_settled(act: Callable[[], T], *, busy: Callable[[], Exception]) -> T:
    """Call `act`, which reads the record first, until it no longer raises `Superseded`, and return its result.

    Raises `busy()` after `MAX_TRIES` tries.
    """
    for _ in range(MAX_TRIES):
        try:
            return act()
        except Superseded:
            continue
    raise busy()
