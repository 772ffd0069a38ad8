"""Pages, scripts and styles: static files, without a build step.

The gallery and the page at /docs are part of this project. The files of Swagger UI come from the package
`fastapi-swagger`, whose code never runs. `SWAGGER_UI` pins their content, so that an update of that package is
reviewed.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from image_api.http.conditional import etag

FOLDER = Path(__file__).parent / "gallery"
DOCS_FOLDER = Path(__file__).parent / "swagger"
PAGE, DOCS_PAGE = "index.html", "docs.html"
PAGES = frozenset({PAGE, DOCS_PAGE})

SWAGGER_UI = {
    "swagger-ui-bundle.js": "3f6abf70480db7e07914df4c98a77385f22ea585eaf457a3e6415ba0eae2d167",
    "swagger-ui.css": "c3cfe8248c4b0b89673600fb829924eafbac6de4bc4b2b06f5f5243483074d0a",
}
"""SHA-256 of the files of Swagger UI 5.34.0, as published on npm (swagger-ui-dist)."""

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file as it is sent: plain or gzipped. `etag` is the ETag of these bytes."""

    body: bytes
    media_type: str
    etag: str
    headers: Mapping[str, str]


def asset(name: str, *, gzipped: bool = False) -> Asset | None:
    """Return a page, or a script, style or picture of one. None if there is no such file."""
    path = _files().get(name)
    return None if path is None else _read(path, gzipped=gzipped)


_COMMENT_LINES = re.compile(rb"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/)[ \t]*$", re.MULTILINE | re.DOTALL)
"""A comment with no code on its lines."""


@cache
def _read(path: Path, *, gzipped: bool) -> Asset:
    body = path.read_bytes()
    if path.is_relative_to(FOLDER) and path.suffix in (".js", ".css"):
        # Readers of the page do not need comments. Their lines stay, so that browsers show
        # the line numbers of the source.
        body = _COMMENT_LINES.sub(lambda comment: b"\n" * comment[0].count(b"\n"), body)
    if gzipped:
        body = gzip.compress(body, mtime=0)
    return Asset(body, _MEDIA_TYPES[path.suffix], etag(body), {"Content-Encoding": "gzip"} if gzipped else {})


@cache
def _files() -> dict[str, Path]:
    """All files by name, so that text from a request never becomes a path."""
    own = (path for folder in (FOLDER, DOCS_FOLDER) for path in sorted(folder.rglob("*")))
    return {path.name: path for path in (*own, *_swagger_ui()) if path.suffix in _MEDIA_TYPES}


def _swagger_ui() -> list[Path]:
    package = find_spec("fastapi_swagger")  # finds it without importing it
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("The package fastapi-swagger is missing. Install functions/api/requirements.txt.")
    return [Path(package.submodule_search_locations[0], "resources", name) for name in SWAGGER_UI]


def gallery_policy(bucket_origin: str) -> str:
    """The gallery's CSP: it may load its own files and pictures that it creates, and call the API and bucket."""
    return _policy(img_src="'self' blob:", connect_src=f"'self' {bucket_origin}")


def docs_policy() -> str:
    """The CSP of /docs: it may load its own files and the icons in Swagger UI's style sheet, and call the API."""
    return _policy(img_src="'self' data:", connect_src="'self'")


def _policy(*, img_src: str, connect_src: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {img_src}",
            f"connect-src {connect_src}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
