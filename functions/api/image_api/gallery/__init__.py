"""The gallery: one page with its scripts and styles, as they lie in this folder. There is no build step."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = "index.html"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the gallery. `etag` changes with its bytes; `compressed` is gzip."""

    body: bytes
    compressed: bytes
    media_type: str
    etag: str


@cache
def asset(name: str) -> Asset | None:
    """The page, or a script, style or picture of it; None if there is no such file."""
    path = _files().get(name)
    if path is None:
        return None
    body = path.read_bytes()
    compressed = gzip.compress(body, mtime=0)
    return Asset(body, compressed, _MEDIA_TYPES[path.suffix], f'"{sha256(body).hexdigest()[:16]}"')


@cache
def _files() -> dict[str, Path]:
    """By name, so that no request's text ever becomes a path."""
    return {path.name: path for path in sorted(FOLDER.rglob("*")) if path.suffix in _MEDIA_TYPES}


def content_security_policy(bucket_origin: str) -> str:
    """What the page may load: itself, pictures that it made itself, and calls to itself and the bucket."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            f"connect-src 'self' {bucket_origin}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
