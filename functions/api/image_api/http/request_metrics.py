"""Log context and the Latency metric of each request: id, route, status class, milliseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from image_core.keys import is_image_id
from image_core.telemetry import measure, note, observed

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_ROUTE = "none"
"""All unmatched paths share this label: callers can invent endless paths, and every label costs money."""
_LONGEST_PATH = 200


class RequestMetrics:
    """ASGI middleware, directly inside `ResponseHeaders`, which gives the request its id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with observed(request_id=scope["state"]["request_id"]):
            try:
                await self._app(scope, receive, record_status)
            finally:
                image_id = str(scope.get("path_params", {}).get("image_id", ""))
                route = _route(scope)
                note(image_id=image_id if is_image_id(image_id) else None)
                note(path=scope["path"][:_LONGEST_PATH] if route == NO_ROUTE else None)
                measure(
                    "Latency",
                    (time.perf_counter() - started) * 1000,
                    route=route,
                    status_class=f"{status // 100}xx",
                )


def _route(scope: Scope) -> str:
    route = scope.get("route")
    matches = scope["method"] in (getattr(route, "methods", None) or ())
    return f"{scope['method']} {getattr(route, 'path', '')}" if matches else NO_ROUTE
