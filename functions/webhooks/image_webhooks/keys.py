"""The signing keys: the current and the previous version of the secret, so that a rotation interrupts nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from image_webhooks.signing import signing_key

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

log = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
"""How long keys are used before the secret is read again."""
RETRY_SECONDS = 30.0
"""How long known keys are used without another read, after a read has failed."""


class SigningKeys:
    """The keys that sign webhooks, read from Secrets Manager and cached. `now` is a clock in seconds."""

    def __init__(self, client: SecretsManagerClient, secret_arn: str, now: Callable[[], float]) -> None:
        self._client = client
        self._secret_arn = secret_arn
        self._now = now
        self._keys: tuple[bytes, ...] = ()
        self._valid_until = -math.inf

    def get(self) -> tuple[bytes, ...]:
        """Return the keys. While the secret cannot be read, those that are known. Raises if there are none."""
        if self._now() < self._valid_until:
            return self._keys
        try:
            self._keys = self._read()
            self._valid_until = self._now() + CACHE_SECONDS
        except Exception:
            if not self._keys:
                raise
            log.exception("could not read the webhook secret again")
            self._valid_until = self._now() + RETRY_SECONDS
        return self._keys

    def _read(self) -> tuple[bytes, ...]:
        keys = [signing_key(self._client.get_secret_value(SecretId=self._secret_arn)["SecretString"])]
        try:
            previous = self._client.get_secret_value(SecretId=self._secret_arn, VersionStage="AWSPREVIOUS")
            keys.append(signing_key(previous["SecretString"]))
        except self._client.exceptions.ResourceNotFoundException:
            pass  # never rotated
        except ValueError:
            log.warning("the previous version of the webhook secret is invalid and signs nothing")
        return tuple(keys)
