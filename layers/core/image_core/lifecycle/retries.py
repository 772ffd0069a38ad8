"""The one loop over `Superseded`: a write lost a race, so read again and decide again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from image_core.errors import Superseded

MAX_TRIES = 5
"""An image that changes during each of these tries is busy: others are working on it."""

_T = TypeVar("_T")


def until_settled(act: Callable[[], _T], *, busy: Callable[[], Exception]) -> _T:
    """What `act` returns, run again while it raises `Superseded`; raises `busy()` after `MAX_TRIES`."""
    for _ in range(MAX_TRIES):
        try:
            return act()
        except Superseded:
            continue
    raise busy()
