"""Signatures of Standard Webhooks. Pure. https://github.com/standard-webhooks/standard-webhooks (spec)"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
"""The limits in the specification."""


def signing_key(secret: str) -> bytes:
    """Return the key of a secret, which is `whsec_` and base64. Secrets that AWS generates have no prefix.

    Raises `ValueError`. Its message does not contain the secret.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(
            f"a webhook secret is {PREFIX} and the base64 of {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes"
        )
    return key


def signed_headers(webhook_id: str, body: bytes, *, keys: Sequence[bytes], time_s: int) -> dict[str, str]:
    """Return the headers that prove who sent `body`. `time_s`: seconds since 1970. Each key adds a signature."""
    content = f"{webhook_id}.{time_s}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(time_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
