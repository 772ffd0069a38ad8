"""Conditional requests (RFC 9110, section 13): `ETag`, `If-None-Match`, `If-Match`.

The ETag of JSON is a hash of its very bytes, so it is strong, and changes with whatever a caller would see change.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from fastapi import Response

from image_api.http.errors import PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

REVALIDATED = "private, no-cache"
"""`Cache-Control`: a browser may keep it, and asks each time whether it still holds."""

ETAG = {"ETag": {"description": "Changes with the answer.", "schema": {"type": "string"}}}
_JSON = "application/json"
_TAGS = re.compile(r'(W/)?("[^"]*")')


def json_answer(
    body: BaseModel, if_none_match: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """200 with `body` and its ETag, or 304 if the caller has it already."""
    content = _serialised(body)
    tag = etag(content)
    if is_known(tag, if_none_match):
        return unchanged(tag, _JSON, headers)
    tagged = {"ETag": tag, "Cache-Control": REVALIDATED}
    return Response(content, media_type=_JSON, headers={**tagged, **(headers or {})})


def unchanged(tag: str, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """304. It names the media type, because Mangum would name JSON, and caches take over what a 304 says."""
    tagged = {"ETag": tag, "Cache-Control": REVALIDATED}
    return Response(status_code=304, media_type=media_type, headers={**tagged, **(headers or {})})


def etag(content: bytes) -> str:
    """A strong ETag of these bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_known(tag: str, if_none_match: str | None) -> bool:
    """Whether the caller says that it has it: `*`, or a list with the tag in it, weak or not."""
    header = if_none_match or ""
    return header.strip() == "*" or tag in (found for _, found in _TAGS.findall(header))


def require_match(body: BaseModel, if_match: str | None) -> None:
    """Raises `PreconditionFailed` if there is an `If-Match` that does not name `body` as it is now."""
    if if_match is None or if_match.strip() == "*":
        return
    # A weak tag never matches here: it promises too little to write on.
    if etag(_serialised(body)) not in (found for weak, found in _TAGS.findall(if_match) if not weak):
        raise PreconditionFailed


def _serialised(body: BaseModel) -> bytes:
    return body.model_dump_json().encode()
