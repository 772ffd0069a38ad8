"""`Idempotency-Key`: the image's id derives from it, so a repeated request finds the image of the first one.

See docs/decisions/0021-idempotency-keys.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TypeVar

from image_api.http.errors import ImageDeleted, KeyReused
from image_core.errors import Unavailable
from image_core.keys import is_key_of, new_image_id, requested_image_id
from image_core.lifecycle.retries import until_settled
from image_core.model import Record, Status
from image_core.services import Services

_T = TypeVar("_T")


def image_id_for(call: str, key: str | None) -> str:
    """The id of this call's image: derived from the key, or a new id without a key."""
    return new_image_id() if key is None else requested_image_id(call, key)


def digest_of(key: str | None, *request: object) -> str | None:
    """A digest that distinguishes different requests with the same key. None without a key."""
    return None if key is None else hashlib.sha256(json.dumps(request).encode()).hexdigest()


def create_or_repeat(
    new: Record, first: Callable[[Record], _T], again: Callable[[Record], _T], services: Services
) -> _T:
    """Call `first(new)`, or `again` with the record that the same request created before.

    Raises `KeyReused` if a different request used the key, `ImageDeleted` if its image is gone, `Unavailable`.
    """

    def act() -> _T:
        earlier = services.records.get(new.image_id) if new.request_digest is not None else None
        if earlier is None:
            return first(new)
        # A record that names another image's key is forged. Nothing may be written to that key.
        is_own = is_key_of(earlier.image_id, services.storage.uploads_bucket, earlier.key)
        if earlier.request_digest != new.request_digest or not is_own:
            raise KeyReused
        if earlier.status is Status.DELETING:
            raise ImageDeleted
        return again(earlier)

    return until_settled(act, busy=Unavailable)
