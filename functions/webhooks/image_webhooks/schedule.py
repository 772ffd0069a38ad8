"""When a failed webhook is tried again. Pure.

30 s after the first attempt, then twice as long after each one, up to an hour. The 31st attempt is the last, about
24 hours after the first. Then SQS moves the message to the dead-letter queue (`MaxReceiveCount` in template.yaml).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

ATTEMPTS = 31
FIRST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 3600
JITTER = 0.1
"""A wait is up to this share shorter or longer, so that webhooks that failed together do not return together."""


def wait_seconds(attempt: int, *, jitter: float, retry_after: float | None = None) -> float:
    """Return the time until the next attempt after `attempt` (from 1) has failed. 0 after the last one.

    `jitter` is from -1 to 1. `retry_after` is what the receiver asked for, in seconds. More than
    `LONGEST_WAIT_SECONDS` of it are ignored, because a wrong value must not delay webhooks for days.
    """
    if attempt >= ATTEMPTS:
        return 0
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1)) * (1 + JITTER * jitter)
    return max(wait, min(retry_after or 0, LONGEST_WAIT_SECONDS))


def retry_after_seconds(status: int | None, header: str | None, *, now_s: float) -> float | None:
    """Return the seconds in the `Retry-After` of a 429 or 503: a number or a date. None if there is none."""
    if status not in (429, 503) or header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None
