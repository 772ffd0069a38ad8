"""The API function's application behind uvicorn, in a process of its own."""

from __future__ import annotations

import argparse
import logging
import os
import socket

import uvicorn

from image_core.telemetry import log_as_json
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
    arguments = parser.parse_args()
    listening = socket.socket(fileno=arguments.fd)
    # Metrics are printed; nobody reads our standard output, and what is printed goes where the log goes.
    os.dup2(2, 1)
    logging.basicConfig()
    log_as_json()
    read_until_parent_ends()
    config = uvicorn.Config(arguments.app, log_config=_LOG_CONFIG, timeout_graceful_shutdown=2, lifespan="on")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
