"""Run the same action for many items, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from imgpipe.errors import ImgpipeError, Refused, Unreachable

_T = TypeVar("_T")


async def for_each(
    items: Iterable[_T],
    act: Callable[[_T], Awaitable[None]],
    *,
    jobs: int,
    failed: Callable[[_T, ImgpipeError], None],
) -> None:
    """Call `act` for each item, at most `jobs` at a time. Errors about one item are passed to `failed`.

    Stops at `Unreachable` and `Refused` and raises them, because all other items would fail with them too.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:  # all workers share the iterator, so each item is handled once
            try:
                await act(item)
            except (Unreachable, Refused):
                raise
            except ImgpipeError as error:
                failed(item, error)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
