"""The API key: every path that is not public requires it. A stack without a key runs none of this.

The key is stored in Secrets Manager, read when it is first needed, and cached. Its previous version stays valid
until the next rotation, so that callers can move to the new key without an interruption.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from image_api.http.error_responses import error_response
from image_api.http.errors import Unauthorized
from image_api.http.inline import run_blocking
from image_core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

HEADER = "X-Api-Key"
PUBLIC_PATHS = frozenset({"/", "/health", "/favicon.ico"})
PUBLIC_FOLDER = "/assets/"
"""Scripts and styles of the pages at `/` and `/docs`."""
DOCS_PATHS = frozenset({"/docs", "/openapi.json"})

CACHE_SECONDS = 300.0
"""How long a key is trusted before the secret is read again. A revoked key keeps working for this time."""
EXTRA_READ_SECONDS = 10.0
"""A new key works within this time. An unknown key may be new, so the secret is read again for it: once in this
time per key, and for all keys together as often as `MAX_EXTRA_READS` allows."""
MAX_EXTRA_READS = 10
"""Maximum number of consecutive reads for unknown keys. One more is allowed after each `EXTRA_READ_SECONDS`, so
guessing costs few reads. While none is left, an unknown key gets 503, because it may be the new one."""
MAX_REJECTED_DIGESTS = 1_000
"""Maximum number of keys that are remembered as invalid."""
OUTAGE_SECONDS = 3600.0
"""How long known keys stay valid while Secrets Manager is unavailable."""
MIN_KEY_CHARACTERS = 20
"""A shorter secret, such as an empty string, was set by mistake and is not accepted as a key."""


def is_public(path: str, *, public_docs: bool) -> bool:
    """Whether a path requires no key. All paths that are not listed here require one."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDER) or (public_docs and path in DOCS_PATHS)


class KeyRing:
    """The valid keys, as digests: the current and the previous version of a secret.

    `now` is a clock in seconds.
    """

    def __init__(
        self, client: SecretsManagerClient, secret_arn: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._secret_arn = secret_arn
        self._now = now
        self._digests: tuple[bytes, ...] = ()
        self._read_at = self._tried_at = -math.inf
        self._rejected: dict[bytes, float] = {}
        """Digests of unknown keys, and when a read of the secret showed that they are not valid."""
        self._extra_reads, self._extra_reads_at = float(MAX_EXTRA_READS), self._now()
        self._reading = Lock()

    def is_valid(self, key: str) -> bool | None:
        """Whether `key` is valid, from the cache. None if the secret must be read. Raises `Unavailable`."""
        now = self._now()
        tried_recently = now - self._tried_at < EXTRA_READ_SECONDS
        if self._matches(key):
            fresh = now - self._read_at < CACHE_SECONDS or (tried_recently and self._usable_during_outage(now))
            return True if fresh else None
        if now - self._rejected.get(_digest(key), -math.inf) < EXTRA_READ_SECONDS:
            return False
        if (tried_recently and self._read_at < self._tried_at) or self._extra_reads_left(now) < 1:
            raise Unavailable
        return None

    def read_and_validate(self, key: str) -> bool:
        """Read the secret, then return whether `key` is valid. Blocks. Raises `Unavailable`."""
        known = self._matches(key) and self._usable_during_outage(self._now())
        if not self._reading.acquire(blocking=not known):
            return True  # a known key does not wait for the read of another request
        try:
            # Another request may have read the secret while this one waited.
            valid = self.is_valid(key)
            return self._read_for(key) if valid is None else valid
        finally:
            self._reading.release()

    def _read_for(self, key: str) -> bool:
        started = self._now()
        if not self._matches(key):
            self._extra_reads, self._extra_reads_at = self._extra_reads_left(started) - 1, started
        try:
            self._digests = tuple(_digest(found) for found in self._read())
        except Exception as error:
            # Whatever the cause is, and however long it lasts: only keys that were already known are accepted.
            log.exception("could not read the API key")
            self._tried_at = started
            if self._matches(key) and self._usable_during_outage(started):
                return True
            raise Unavailable from error
        self._read_at = self._tried_at = started
        if self._matches(key):
            return True
        if len(self._rejected) >= MAX_REJECTED_DIGESTS:
            self._rejected.clear()
        self._rejected[_digest(key)] = started
        return False

    def _extra_reads_left(self, now: float) -> float:
        return min(float(MAX_EXTRA_READS), self._extra_reads + (now - self._extra_reads_at) / EXTRA_READ_SECONDS)

    def _usable_during_outage(self, now: float) -> bool:
        return now - self._read_at < OUTAGE_SECONDS

    def _matches(self, key: str) -> bool:
        """Compare with every valid key, in constant time."""
        digest = _digest(key)
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419  # all of them

    def _read(self) -> list[str]:
        found = [self._client.get_secret_value(SecretId=self._secret_arn)["SecretString"]]
        try:
            previous = self._client.get_secret_value(SecretId=self._secret_arn, VersionStage="AWSPREVIOUS")
            found.append(previous["SecretString"])
        except self._client.exceptions.ResourceNotFoundException:
            pass  # never rotated, or the old key was revoked
        keys = [key for key in found if len(key) >= MIN_KEY_CHARACTERS]
        if not keys:
            raise ValueError(f"the secret contains no key of at least {MIN_KEY_CHARACTERS} characters")
        return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class ApiKeyGuard:
    """ASGI middleware: accepts public paths and callers with a valid key, before any body is read."""

    def __init__(self, app: ASGIApp, ring: KeyRing, *, public_docs: bool) -> None:
        self._app = app
        self._ring = ring
        self._public_docs = public_docs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_public(scope["path"], public_docs=self._public_docs):
            refusal = await self._refusal(Headers(scope=scope).get(HEADER))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, key: str | None) -> ASGIApp | None:
        try:
            valid = self._ring.is_valid(key) if key else False
            if valid is None:
                valid = await run_blocking(self._ring.read_and_validate, str(key))
        except Unavailable as error:
            return error_response(error, {"Retry-After": str(int(EXTRA_READ_SECONDS))})
        if valid:
            return None
        challenge = {"WWW-Authenticate": f'ApiKey realm="image pipeline", header="{HEADER}"'}
        return error_response(Unauthorized(), challenge)
