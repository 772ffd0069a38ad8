"""The API's entry points: `handler` for Lambda, `app` for any ASGI server.

Lambda imports this module in its INIT phase, when a function has more CPU than later. Everything that all requests
need is built here.
"""

# ruff: noqa: E402  # the collector is off before anything is imported
from __future__ import annotations

import gc
import sys

# Imports allocate almost nothing that is ever freed. Searching for it would be a tenth of the cold start.
gc.disable()

# For each parameter, FastAPI checks whether it is of pydantic's version 1, and searches the path for it each time.
sys.modules["pydantic.v1"] = None  # type: ignore[assignment]  # importlib's way to say "not installed"

from pydantic import BaseModel

# FastAPI's models of OpenAPI are a quarter of its import time. Only /openapi.json needs them and builds them then.
BaseModel.model_config["defer_build"] = True
import fastapi  # noqa: F401

del BaseModel.model_config["defer_build"]

from mangum import Mangum

from image_api.app import create_app
from image_api.http.host import with_readable_host
from image_api.http.inline import inline_handler
from image_core.services import services
from image_core.telemetry import instrumented

connected = services()
app = create_app(connected)
# The clients that every request needs.
connected.prepare("dynamodb", *(["secretsmanager"] if connected.settings.api_key_secret_arn else []))

# Without "off", startup and shutdown would run on every request.
handler = instrumented(
    inline_handler(with_readable_host(Mangum(app, lifespan="off"))), lambda: connected.settings.log_level
)

gc.freeze()
gc.enable()
