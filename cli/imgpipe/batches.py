"""Doing the same for many things, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from imgpipe.errors import ImgpipeError, Refused, Unreachable

_T = TypeVar("_T")


async def for_each(
    things: Iterable[_T],
    act: Callable[[_T], Awaitable[None]],
    *,
    jobs: int,
    failed: Callable[[_T, ImgpipeError], None],
) -> None:
    """Does `act` for each thing, at most `jobs` at a time; `failed` is told of errors that are about one thing.

    Raises `Unreachable` and `Refused`, which all others would meet too, and stops there.
    """
    waiting = iter(things)

    async def worker() -> None:
        for thing in waiting:  # one iterator for all workers: each thing is taken once
            try:
                await act(thing)
            except (Unreachable, Refused):
                raise
            except ImgpipeError as error:
                failed(thing, error)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
