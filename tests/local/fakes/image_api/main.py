"""An ASGI application that answers everything with its settings."""

from __future__ import annotations

import json
import os
from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    names = (
        "UPLOADS_BUCKET",
        "MAX_POST_BYTES",
        "MAX_IMAGE_BYTES",
        "PROCESSOR_TIMEOUT_SECONDS",
        "CAPTION_MODEL_DIR",
    )
    body = json.dumps({name: os.environ.get(name) for name in names} | {"caption_model": "demo-model"}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
