"""Distinguish an original that can never be read from a permission that this stack has lost.

In the first case the image fails. In the second case the operator must repair the permission: the message is
retried, and no image fails at once. When in doubt, the second case is assumed.
"""

from __future__ import annotations

import re
from typing import Any

from image_core.errors import ImageError, ObjectArchived, UnreadableObject

_KMS_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:(\d{12}):key/")
_HIDDEN_KEY = "The ciphertext refers to a customer master key that does not exist"
"""KMS's message about another account's key, and about a deleted key."""


def unreadable_reason(error: Any, *, kms_key: str | None, account_id: str | None) -> type[ImageError] | None:
    """Return why the object of this GET can never be read. None if the error can have another cause.

    `error` is a `ClientError` of a GET, because a refused HEAD has no body. `kms_key` is the ARN of the object's
    key if S3 has named it. A key of this account may be the stack's own, so only a key of another account proves
    anything.
    """
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    if code == "InvalidObjectState":
        return ObjectArchived
    if code == "InvalidRequest" and "Server Side Encryption" in message:
        return UnreadableObject  # SSE-C: only the uploader has the key
    if code == "AccessDenied" or code.startswith("KMS."):
        found = _KMS_KEY.search(message) or _KMS_KEY.match(kms_key or "")
        is_foreign = found is not None and account_id is not None and found.group(1) != account_id
        if is_foreign or _HIDDEN_KEY in message:
            return UnreadableObject
    return None
