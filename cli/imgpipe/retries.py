"""When a call is retried, and how long to wait before it."""

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
"""Statuses that are worth a retry."""


@dataclass(frozen=True)
class Retries:
    """`attempts` in total. The first pause is `first_pause` seconds, later ones double, up to `longest_pause`.

    A server's `Retry-After` is used instead, up to `longest_wait` seconds. A server that has never responded gets
    fewer attempts, because retries do not help against a mistyped URL.
    """

    attempts: int = 6
    attempts_of_first_contact: int = 3
    first_pause: float = 0.5
    longest_pause: float = 20.0
    longest_wait: float = 300.0

    def pause(self, attempt: int, requested_delay: float | None) -> float:
        """Seconds to wait after this attempt (1 is the first)."""
        if requested_delay is not None:
            return min(requested_delay, self.longest_wait)
        ceiling = min(self.first_pause * 2 ** (attempt - 1), self.longest_pause)
        # Half of it is random, so that clients that failed together do not retry together.
        return float(ceiling * random.uniform(0.5, 1.0))  # noqa: S311


OnRetry = Callable[[float, str], None]
"""Called with the seconds until the next attempt, and the reason."""


def ignore_retry(_seconds: float, _reason: str) -> None:
    """Do nothing."""


async def send(
    once: Callable[[], Awaitable[httpx.Response]],
    retries: Retries,
    *,
    on_retry: OnRetry = ignore_retry,
    first_contact: bool = False,
) -> tuple[httpx.Response, int]:
    """Return the first final response, and the number of attempts. Raises `Unreachable` if there is none."""
    for attempt in range(1, retries.attempts + 1):
        last = attempt == retries.attempts
        try:
            response = await once()
        except (httpx.TransportError, httpx.DecodingError) as error:
            if last or (first_contact and attempt >= retries.attempts_of_first_contact):
                raise Unreachable(f"{_host(error)} cannot be reached: {_reason(error)}") from error
            requested_delay, reason = None, _reason(error)
        else:
            if last or response.status_code not in PASSING:
                return response, attempt
            await response.aclose()
            requested_delay, reason = retry_after(response), f"the server responded with {response.status_code}"
        seconds = retries.pause(attempt, requested_delay)
        on_retry(seconds, reason)
        await asyncio.sleep(seconds)
    raise AssertionError("the last attempt returns or raises")


def retry_after(response: httpx.Response) -> float | None:
    """The seconds in `Retry-After`, which is a number or a date (RFC 9110). None if it is missing."""
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
    # Not the whole URL: a presigned URL contains a signature.
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _reason(error: httpx.RequestError) -> str:
    return str(error) or {
        "ReadTimeout": "the response timed out",
        "ConnectTimeout": "the connection timed out",
    }.get(type(error).__name__, type(error).__name__)
