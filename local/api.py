"""Run the API function's application with uvicorn, in a separate process."""

from __future__ import annotations

import argparse
import logging
import os
import socket

import uvicorn
from uvicorn.importer import import_from_string

from image_core.telemetry import log_as_json
from local.gate import AsgiGate, Gate
from local.lifeline import read_until_parent_ends

_LOG_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(message)s"},
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": "%(request_line)s %(status_code)s",
            "use_colors": False,
        },
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
        "access": {"class": "logging.StreamHandler", "formatter": "access"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.api")
    parser.add_argument("--app", required=True, help="module:attribute of the ASGI application")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--host", default="127.0.0.1", help="the host name of the API")
    parser.add_argument(
        "--origin", default=[], action="append", help="origin whose pages may call the API; may be repeated"
    )
    arguments = parser.parse_args()
    listening = socket.socket(fileno=arguments.fd)
    # Metrics are printed. Standard output is not read by anyone, so it is redirected to the log.
    os.dup2(2, 1)
    logging.basicConfig()
    log_as_json()
    read_until_parent_ends()
    gate = Gate.of([arguments.host, listening.getsockname()[0]], arguments.origin, has_pages=True)
    config = uvicorn.Config(
        lambda: AsgiGate(import_from_string(arguments.app), gate),
        factory=True,
        log_config=_LOG_CONFIG,
        timeout_graceful_shutdown=2,
        lifespan="on",
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
