"""Conditional requests (RFC 9110, section 13): `ETag`, `If-None-Match`, `If-Match`.

The ETag of JSON is a hash of its bytes: it is strong, and changes with every change that a caller can see.
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

ETAG = {"ETag": {"description": "Changes with the response.", "schema": {"type": "string"}}}
YEAR_SECONDS = 31_536_000
"""The longest time that caches honor."""
_JSON = "application/json"
_TAGS = re.compile(r'(W/)?("[^"]*")')


def json_response(
    body: BaseModel, if_none_match: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return 200 with `body` and its ETag, or 304 if the caller already has it."""
    return json_bytes_response(serialized(body), if_none_match, headers)


def json_bytes_response(
    content: bytes, if_none_match: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`json_response` for a body that is already serialized."""
    tag = etag(content)
    if is_known(tag, if_none_match):
        return not_modified(tag, _JSON, headers)
    return Response(content, media_type=_JSON, headers={**etag_headers(tag), **(headers or {})})


def not_modified(tag: str, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return 304 with the media type: Mangum would set JSON, and caches store the headers of a 304."""
    return Response(status_code=304, media_type=media_type, headers={**etag_headers(tag), **(headers or {})})


def etag_headers(tag: str) -> dict[str, str]:
    """`ETag`, and a `Cache-Control` that lets a browser keep the response and makes it revalidate each time."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def immutable(*, private: bool) -> dict[str, str]:
    """A `Cache-Control` for a URL whose bytes never change, for the caller's own cache or for all of them."""
    return {"Cache-Control": f"{'private' if private else 'public'}, max-age={YEAR_SECONDS}, immutable"}


def etag(content: bytes) -> str:
    """Return a strong ETag of these bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_known(tag: str, if_none_match: str | None) -> bool:
    """Whether the caller already has that response: `If-None-Match` is `*`, or lists the tag, weak or not."""
    header = if_none_match or ""
    return header.strip() == "*" or tag in (found for _, found in _TAGS.findall(header))


def require_match(body: BaseModel, if_match: str | None, *other_tags: str) -> None:
    """Raise `PreconditionFailed` if an `If-Match` lists neither the ETag of `body` nor one of `other_tags`."""
    if if_match is None or if_match.strip() == "*":
        return
    # A weak tag never matches here: it does not guarantee identical bytes.
    strong = {found for weak, found in _TAGS.findall(if_match) if not weak}
    if strong.isdisjoint((etag(serialized(body)), *other_tags)):
        raise PreconditionFailed


def serialized(body: BaseModel) -> bytes:
    """The JSON of `body`, in UTF-8."""
    return body.model_dump_json().encode()
