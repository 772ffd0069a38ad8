"""When a call is made again, and how long to wait before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from imgpipe.errors import Unreachable

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next try."""


@dataclass(frozen=True)
class Retries:
    """`attempts` in all; between them `first_pause` seconds, then twice as long each time, at most `longest_pause`.

    A server's `Retry-After` is heeded instead, up to `longest_wait` seconds. A server that nobody has heard of yet
    is given up sooner: a mistyped address does not get better.
    """

    attempts: int = 6
    attempts_of_first_contact: int = 3
    first_pause: float = 0.5
    longest_pause: float = 20.0
    longest_wait: float = 300.0

    def pause(self, attempt: int, asked_for: float | None) -> float:
        """Seconds to wait after this attempt (1 is the first)."""
        if asked_for is not None:
            return min(asked_for, self.longest_wait)
        ceiling = min(self.first_pause * 2 ** (attempt - 1), self.longest_pause)
        # Half of it by chance, so that clients that failed together do not come back together.
        return float(ceiling * random.uniform(0.5, 1.0))  # noqa: S311


Waiting = Callable[[float, str], None]
"""Is told how many seconds are waited, and why."""


def nobody(_seconds: float, _why: str) -> None:
    """Tells nobody."""


async def send(
    once: Callable[[], Awaitable[httpx.Response]],
    retries: Retries,
    *,
    waiting: Waiting = nobody,
    first_contact: bool = False,
) -> tuple[httpx.Response, int]:
    """The first answer that is final, and how many attempts it took. Raises `Unreachable` where there is none."""
    for attempt in range(1, retries.attempts + 1):
        last = attempt == retries.attempts
        try:
            response = await once()
        except (httpx.TransportError, httpx.DecodingError) as error:
            if last or (first_contact and attempt >= retries.attempts_of_first_contact):
                raise Unreachable(f"{_host(error)} cannot be reached: {_reason(error)}") from error
            asked_for, why = None, _reason(error)
        else:
            if last or response.status_code not in PASSING:
                return response, attempt
            await response.aclose()
            asked_for, why = retry_after(response), f"the server answered {response.status_code}"
        seconds = retries.pause(attempt, asked_for)
        waiting(seconds, why)
        await asyncio.sleep(seconds)
    raise AssertionError("the last attempt returns or raises")


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date (RFC 9110); None where it does not."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _host(error: httpx.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return "The API"
    # Not the whole: a presigned URL is a key.
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _reason(error: httpx.RequestError) -> str:
    return str(error) or {"ReadTimeout": "no answer in time", "ConnectTimeout": "no connection in time"}.get(
        type(error).__name__, type(error).__name__
    )
