"""The API key: whoever calls more than the public paths must send it. On a stack without one, nothing of this runs.

The key lies in Secrets Manager. It is read when it is first needed and kept for a while; its previous version stays
valid until the next rotation, so that callers can be moved to the new one without an interruption.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from image_api.http.error_responses import documented, error_response
from image_api.http.errors import HTTP_STATUS, Unauthorized
from image_api.http.routing import run_waiting
from image_core.errors import Unavailable

if TYPE_CHECKING:
    from fastapi import FastAPI
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from starlette.types import ASGIApp, Receive, Scope, Send

    from image_core.settings import Settings

log = logging.getLogger(__name__)

HEADER = "X-Api-Key"
PUBLIC_PATHS = frozenset({"/", "/health", "/favicon.ico"})
PUBLIC_FOLDER = "/assets/"
"""What the page at `/` consists of."""
DOCS_PATHS = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})

KEPT_SECONDS = 300.0
"""How long a key is taken for valid before the secret is read again: a key that was revoked works for so long."""
REREAD_SECONDS = 10.0
"""An unknown key may be a new one: the secret is read again, but no more often than this."""
OUTAGE_SECONDS = 3600.0
"""How long known keys stay valid while Secrets Manager does not answer."""
MIN_KEY_CHARACTERS = 20
"""Anything shorter was put into the secret by mistake, an empty string above all; it opens nothing."""


def is_public(path: str, *, public_docs: bool) -> bool:
    """Whether a path answers without a key. Everything that is not named here needs one."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDER) or (public_docs and path in DOCS_PATHS)


class KeyRing:
    """The keys that are valid now: the current and the previous version of a secret, as digests.

    `connect` builds the client, once, when it is first needed; `now` is a clock in seconds.
    """

    def __init__(
        self, connect: Callable[[], SecretsManagerClient], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect = connect
        self._now = now
        self._client: SecretsManagerClient | None = None
        self._digests: tuple[bytes, ...] = ()
        self._read_at = self._tried_at = -math.inf

    def known(self, presented: str) -> bool | None:
        """Whether that key is valid; None if the secret must be read to tell. Raises `Unavailable`."""
        valid, now = self._matches(presented), self._now()
        tried_just_now = now - self._tried_at < REREAD_SECONDS
        if valid and (now - self._read_at < KEPT_SECONDS or (tried_just_now and self._outlives_outage(now))):
            return True
        if not valid and tried_just_now:
            if self._read_at < self._tried_at:
                raise Unavailable
            return False
        return None

    def read_and_judge(self, secret_arn: str, presented: str) -> bool:
        """Reads the secret, then tells whether that key is valid. Raises `Unavailable`."""
        self._tried_at = self._now()
        try:
            self._digests = tuple(_digest(key) for key in self._keys(secret_arn))
        except Exception as error:
            # Whatever it was, and however long it lasts: nobody gets in who was not known before.
            log.exception("the API key could not be read")
            if self._matches(presented) and self._outlives_outage(self._tried_at):
                return True
            raise Unavailable from error
        self._read_at = self._tried_at
        return self._matches(presented)

    def _outlives_outage(self, now: float) -> bool:
        return now - self._read_at < OUTAGE_SECONDS

    def _matches(self, presented: str) -> bool:
        """Compares with every key, in a time that tells nothing about them."""
        digest = _digest(presented)
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419  # all of them

    def _keys(self, secret_arn: str) -> list[str]:
        if self._client is None:
            self._client = self._connect()
        found = [self._client.get_secret_value(SecretId=secret_arn)["SecretString"]]
        try:
            previous = self._client.get_secret_value(SecretId=secret_arn, VersionStage="AWSPREVIOUS")
            found.append(previous["SecretString"])
        except self._client.exceptions.ResourceNotFoundException:
            pass  # never rotated, or the old key was revoked
        keys = [key for key in found if len(key) >= MIN_KEY_CHARACTERS]
        if not keys:
            raise ValueError(f"the secret holds no key of at least {MIN_KEY_CHARACTERS} characters")
        return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class ApiKeyGuard:
    """ASGI middleware: lets public paths and callers with a valid key through, before any body is read."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings], ring: KeyRing) -> None:
        self._app = app
        self._settings = settings
        self._ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            settings = self._settings()
            secret_arn = settings.api_key_secret_arn
            if secret_arn and not is_public(scope["path"], public_docs=settings.public_docs):
                refusal = await self._refusal(secret_arn, Headers(scope=scope).get(HEADER))
                if refusal is not None:
                    await refusal(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _refusal(self, secret_arn: str, presented: str | None) -> ASGIApp | None:
        try:
            valid = self._ring.known(presented) if presented else False
            if valid is None:
                valid = await run_waiting(self._ring.read_and_judge, secret_arn, str(presented))
        except Unavailable as error:
            return error_response(error, {"Retry-After": str(int(REREAD_SECONDS))})
        if valid:
            return None
        challenge = {"WWW-Authenticate": f'ApiKey realm="image pipeline", header="{HEADER}"'}
        return error_response(Unauthorized(), challenge)


def install(app: FastAPI, settings: Callable[[], Settings], secrets: Callable[[], SecretsManagerClient]) -> None:
    """Guards `app`. `secrets` is called on stacks with a key alone."""
    app.add_middleware(ApiKeyGuard, settings=settings, ring=KeyRing(secrets))


def document(schema: dict[str, Any]) -> None:
    """Adds the security scheme, and the 401 of every path that may need a key."""
    schema.setdefault("components", {})["securitySchemes"] = {
        "ApiKey": {
            "type": "apiKey",
            "in": "header",
            "name": HEADER,
            "description": "Needed on stacks that have a key, as those on AWS do by default.",
        }
    }
    refusal = documented(Unauthorized)[HTTP_STATUS[Unauthorized]]
    del refusal["model"]  # FastAPI's word, which it has replaced in the rest of the schema by now
    refusal["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/ErrorAnswer"}
    refusal["headers"] = {
        "WWW-Authenticate": {"description": "Names the header for the key.", "schema": {"type": "string"}}
    }
    for path, methods in schema["paths"].items():
        if not is_public(path, public_docs=True):
            for operation in methods.values():
                operation["security"] = [{"ApiKey": []}, {}]
                operation["responses"]["401"] = copy.deepcopy(refusal)
