"""Run MiniStack in a separate process: `.venv-ministack/bin/python -m local.ministack --fd N [--data FOLDER]`.

It offers the services in `local.services` to programs on this machine and to the pages of `--origin`. With `--data`
it keeps everything in that folder (see `local.kept_data`), without it in memory.

MiniStack pins another botocore than this project, so it has its own environment. This module imports only
MiniStack, the standard library, and modules of `local` that do the same.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import math
import os
import pkgutil
import signal
import socket
import sys
import time
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import cors, event_bridge
from local.gate import AsgiGate, Gate, request_headers, send_response
from local.kept_data import InUse, KeptData
from local.lifeline import read_until_parent_ends
from local.services import SERVICES, hide_docker, refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_MODULES = {"dynamodb", "dynamodb_streams", "s3", "secretsmanager", "sqs", "sts", "iam"}
"""The modules of `SERVICES`, and IAM, which STS imports."""

_REQUESTS_SECONDS = 5.0
"""How long running requests may delay the stop."""
_SAVING_SECONDS = 25.0
"""How long saving may take after the parent has ended."""


def settings(data: KeptData | None) -> dict[str, str]:
    """MiniStack's environment variables: no other ports, and nothing from the caller's shell."""
    keeps = str(int(data is not None))
    return {
        "AUTH": "false",
        "GATEWAY_PORT": "4566",
        "IOT_MTLS_ENABLED": "0",
        "LOCALSTACK_PERSISTENCE": "0",
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": keeps,
        "S3_DATA_DIR": str(data.objects) if data else os.devnull,
        "S3_PERSIST": keeps,
        "SERVICES": "",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(data.state) if data else os.devnull,
        "USE_SSL": "0",
    }


def _load(data: KeptData | None) -> Any:
    """Import MiniStack without the services that the stack does not use."""
    for name in [name for name in os.environ if name.startswith("MINISTACK_")]:
        del os.environ[name]
    os.environ.update(settings(data))
    hide_docker()
    package = importlib.import_module("ministack.services")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in _MODULES and not module.name.startswith("_"):
            sys.modules[f"{package.__name__}.{module.name}"] = _absent(module.name)
    app = importlib.import_module("ministack.app")
    for name in app.SERVICE_HANDLERS.keys() - SERVICES:
        app.SERVICE_HANDLERS[name] = _refuse(name)
    app.SERVICE_HANDLERS[event_bridge.SERVICE] = _event_bridge(event_bridge.EventBridge(_send_message))
    return app


def _absent(service: str) -> types.ModuleType:
    """A replacement for the module of a service. It rejects requests, and has no APIs, functions or topics.

    MiniStack calls some modules for every request. Others start threads, processes and containers.
    """
    module = types.ModuleType(service)

    def attribute(name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None

    module.__dict__.update(__getattr__=attribute, handle_request=_refuse(service))
    return module


def _refuse(service: str) -> Callable[..., Any]:
    """A request handler for MiniStack that responds with 403."""

    async def handle(
        _method: str, _path: str, headers: dict[str, str], *_: Any
    ) -> tuple[int, dict[str, str], bytes]:
        content_type, body = refusal(service, headers.get("content-type", ""))
        return 403, {"Content-Type": content_type}, body

    return handle


def _event_bridge(bridge: event_bridge.EventBridge) -> Callable[..., Any]:
    """A request handler for MiniStack that handles requests to EventBridge."""

    async def handle(
        _method: str, _path: str, headers: dict[str, str], body: bytes, *_: Any
    ) -> tuple[int, dict[str, str], bytes]:
        status, content_type, response = bridge.respond(headers.get("x-amz-target", ""), body)
        return status, {"Content-Type": content_type}, response

    return handle


def _send_message(queue_arn: str, message: str) -> None:
    """Send a message to one of MiniStack's queues."""
    sqs = importlib.import_module("ministack.services.sqs")
    sqs._act_send_message({"QueueUrl": queue_arn.rpartition(":")[2], "MessageBody": message}, "")


class AllowedServices:
    """Wraps MiniStack: rejects its own interface, such as `/_ministack/reset`, and WebSockets."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        # No bucket name begins like this.
        elif scope["type"] == "http" and scope["path"].startswith("/_"):
            content_type, body = refusal("ministack", request_headers(scope).get("content-type", ""))
            await send_response(send, 403, content_type, body)
        else:
            await self._application(scope, receive, send)


class _Errors(logging.Handler):
    """Counts errors while saving, which MiniStack logs and ignores."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, _: logging.LogRecord) -> None:
        self.count += 1


async def serve(app: Any, application: ASGIApp, fds: Iterable[int], data: KeptData | None) -> None:
    """Serve until SIGTERM or until the parent ends, save everything, and end the process."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{fd}" for fd in fds]
    config.keep_alive_timeout = 75
    config.graceful_timeout = math.inf  # hypercorn would cancel requests, with a traceback for each
    config.loglevel = "WARNING"
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ending.set)

    def end_and_wait() -> None:
        loop.call_soon_threadsafe(ending.set)
        time.sleep(_SAVING_SECONDS)

    read_until_parent_ends(at_end=end_and_wait)
    errors = _Errors()
    logging.getLogger("persistence").addHandler(errors)
    # Hypercorn notifies MiniStack to save once all requests have ended.
    server = asyncio.ensure_future(hypercorn_serve(application, config, shutdown_trigger=ending.wait))
    await asyncio.wait({server, asyncio.ensure_future(ending.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({server}, timeout=_REQUESTS_SECONDS)
    if not server.done():
        app.save_all(app._build_persistence_save_dict())
    elif error := server.exception():
        raise error
    if data is not None and errors.count == 0:
        data.close()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.ministack")
    add = parser.add_argument
    add("--fd", type=int, required=True, action="append", help="a listening socket; may be repeated")
    add("--origin", default=[], action="append", help="origin whose pages may use presigned URLs; may be repeated")
    add("--data", type=Path, help="the folder to keep everything in (default: memory)")
    arguments = parser.parse_args()
    os.umask(0o077)
    data = KeptData(arguments.data) if arguments.data else None
    try:
        if data:
            data.open()
    except InUse as error:
        sys.exit(str(error))
    app = _load(data)
    addresses = []
    for fd in arguments.fd:
        with socket.socket(fileno=os.dup(fd)) as listening:
            addresses.append(listening.getsockname()[0])
    gate = Gate.of(["host.docker.internal", *addresses], arguments.origin, page_methods=cors.METHODS | {"OPTIONS"})
    application = AsgiGate(cors.AsgiBucketCors(AllowedServices(app.app)), gate)
    asyncio.run(serve(app, application, arguments.fd, data))


if __name__ == "__main__":
    main()
