"""Run blocking functions: in a thread under a server, inline on Lambda.

Endpoints are plain functions that wait for AWS. A server runs them in threads, to serve other requests meanwhile. A
Lambda environment serves one request at a time, so a thread would only cost time there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

_P = ParamSpec("_P")
_T = TypeVar("_T")

_is_inline: ContextVar[bool] = ContextVar("is_inline", default=False)


@contextmanager
def inline() -> Iterator[None]:
    """Within this block `run_blocking` uses no thread."""
    before = _is_inline.set(True)
    try:
        yield
    finally:
        _is_inline.reset(before)


def inline_handler(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap the Lambda handler `handler`, so that its endpoints run inline."""

    @wraps(handler)
    def call(event: Any, context: Any) -> Any:
        with inline():
            return handler(event, context)

    return call


async def run_blocking(function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Call a blocking function: inline within `inline()`, otherwise in a thread."""
    if _is_inline.get():
        return function(*arguments, **named)
    return await run_in_threadpool(function, *arguments, **named)
