"""Listening sockets, opened before anything starts, so that a busy port is found first."""

from __future__ import annotations

import errno
import socket


class PortTaken(Exception):
    """Somebody else listens there."""


def listen(host: str, port: int, *, option: str) -> socket.socket:
    """A listening socket for a child to serve; `option` is the flag to change the port with."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} is in use by another program; choose one with {option}") from error
        raise PortTaken(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with {option}"
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL at which this machine reaches the socket."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
