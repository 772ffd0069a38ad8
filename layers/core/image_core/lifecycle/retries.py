"""Repeating what another writer got in the way of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from image_core.errors import Superseded

MAX_TRIES = 5
"""A record that changes during every one of these has other workers who take care of it."""

T = TypeVar("T")


def until_settled(act: Callable[[], T], *, busy: Callable[[], Exception]) -> T:
    """The result of `act`, which reads the record anew and is repeated while it raises `Superseded`.

    Raises `busy()` after `MAX_TRIES` tries.
    """
    for _ in range(MAX_TRIES):
        try:
            return act()
        except Superseded:
            continue
    raise busy()
