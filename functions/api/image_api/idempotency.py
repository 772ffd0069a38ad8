"""`Idempotency-Key`: the image's id derives from it, so a repeated request finds what the first one made.

See docs/decisions/0021-idempotency-keys.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from image_api.http.errors import ImageDeleted, KeyReused
from image_core.errors import Superseded, Unavailable
from image_core.keys import new_image_id, requested_image_id
from image_core.model import Record, Status
from image_core.services import Services

_TRIES = 5


def image_id_for(call: str, key: str | None) -> str:
    """The id for the image of this call: the key's own, or a new one without a key."""
    return new_image_id() if key is None else requested_image_id(call, key)


def digest_of(key: str | None, *request: object) -> str | None:
    """What tells one request from another that comes with the same key; None without a key."""
    return None if key is None else hashlib.sha256(json.dumps(request).encode()).hexdigest()


def first_or_again(
    new: Record,
    write: Callable[[Record], Record],
    again: Callable[[Record], Record],
    services: Services,
) -> Record:
    """Writes `new`, or does `again` with the record that the same request made before.

    Raises `KeyReused` if that was another request, `ImageDeleted` if what it made is gone, `Unavailable`.
    """
    for _ in range(_TRIES):
        earlier = services.records.get(new.image_id) if new.request_digest is not None else None
        try:
            if earlier is None:
                return write(new)
            if earlier.request_digest != new.request_digest:
                raise KeyReused
            if earlier.status is Status.DELETING:
                raise ImageDeleted
            return again(earlier)
        except Superseded:
            continue
    raise Unavailable
