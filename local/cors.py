"""CORS for the emulated bucket: the same rule as in template.yaml, for the gallery and the pages in CorsOrigins.

On AWS each bucket has its own rule. Here `local.gate` has refused every other page, so that one rule is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

METHODS = frozenset({"GET", "HEAD", "PUT"})
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", ", ".join(sorted(METHODS))),
    # The asterisk does not cover Authorization: a page can use presigned URLs only.
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "3600"),
]


class BucketCors:
    """Wraps the emulator: a page that `local.gate` accepted may read the response, and no other page."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        allowed = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")] if origin else []
        if environ["REQUEST_METHOD"] == "OPTIONS":
            start_response("204 No Content", [*allowed, *(_PREFLIGHT if origin else [])])
            return [b""]
        exposed = [("Access-Control-Expose-Headers", "ETag, x-amz-version-id")] if origin else []

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            # moto allows every page to read everything.
            others = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, [*others, *allowed, *exposed], *error)

        return self._application(environ, start)
