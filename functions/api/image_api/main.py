"""The API's entry points: `handler` for Lambda, `app` for any ASGI server."""

from __future__ import annotations

from mangum import Mangum

from image_api.app import create_app
from image_core.services import services

app = create_app(services)

# Without "off" start-up and shut-down would run on every request.
handler = Mangum(app, lifespan="off")
