"""The path of a request on Lambda, decoded exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class GatewayPath:
    """ASGI middleware: serves the path that API Gateway used to choose the route.

    API Gateway decodes the path, and Mangum decodes it a second time. `/api/%2569mages` would then be served as
    `/api/images`, although API Gateway did not apply that route's throttle.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if event := scope.get("aws.event"):
            scope = {**scope, "path": event["requestContext"]["http"]["path"] or "/"}
        await self._app(scope, receive, send)
