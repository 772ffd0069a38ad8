"""An ASGI application that responds to every request with its settings, after its startup has run."""

from __future__ import annotations

import json
import os
from typing import Any

started: list[bool] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            started.append(True)
            await send({"type": f"lifespan.{event}.complete"})
        return
    names = (
        "UPLOADS_BUCKET",
        "MAX_POST_BYTES",
        "MAX_IMAGE_BYTES",
        "PROCESSOR_TIMEOUT_SECONDS",
        "CAPTION_MODEL_DIR",
    )
    body = json.dumps({name: os.environ.get(name) for name in names} | {"caption_model": "demo-model"}).encode()
    # Refuse to serve without the startup: image_api.app builds its models there.
    status = 200 if started else 500
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": body})
