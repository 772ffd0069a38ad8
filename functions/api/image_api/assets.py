"""The gallery: one page with its scripts and styles, served as they are in `gallery`. There is no build step."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from image_api.http.conditional import etag

FOLDER = Path(__file__).parent / "gallery"
PAGE = "index.html"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the gallery as it is sent: plain or gzipped. `etag` is the ETag of these bytes."""

    body: bytes
    media_type: str
    etag: str
    headers: Mapping[str, str]


def asset(name: str, *, gzipped: bool = False) -> Asset | None:
    """The page, or a script, style or picture of it; None if there is no such file."""
    path = _files().get(name)
    return None if path is None else _read(path, gzipped=gzipped)


@cache
def _read(path: Path, *, gzipped: bool) -> Asset:
    body = path.read_bytes()
    if gzipped:
        body = gzip.compress(body, mtime=0)
    return Asset(body, _MEDIA_TYPES[path.suffix], etag(body), {"Content-Encoding": "gzip"} if gzipped else {})


@cache
def _files() -> dict[str, Path]:
    """By name, so that a request's text never becomes a path."""
    return {path.name: path for path in sorted(FOLDER.rglob("*")) if path.suffix in _MEDIA_TYPES}


def content_security_policy(bucket_origin: str) -> str:
    """What the page may load: its own files, pictures that it made, and calls to the API and the bucket."""
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
