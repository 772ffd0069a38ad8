"""HTTP: send webhooks, each within a total time, whatever the receiver does.

The standard library's client is enough. Each webhook has its own connection: one that was kept open while Lambda
froze the function would be dead, and cost an attempt. A proxy in the environment is not used, redirects are not
followed, and the body of a response is not read.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from image_webhooks.endpoint import Endpoint


@dataclass(frozen=True)
class Request:
    """A POST request."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """The receiver's response. `status` is None if there was none; `reason` then says why."""

    status: int | None
    reason: str
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class _FinalResponse(http.client.HTTPResponse):
    """Skips all interim responses (RFC 9110, section 15.2). The standard library skips only 100."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 101 < found[1] < 200:
                return found
            http.client.parse_headers(self.fp)


@cache
def default_context() -> ssl.SSLContext:
    """The certificates that this machine trusts. Loading them takes a tenth of a second on a small function."""
    return ssl.create_default_context()


def send_all(
    endpoint: Endpoint, requests: Sequence[Request], *, seconds: float, context: ssl.SSLContext | None = None
) -> list[Response]:
    """Send all requests at the same time, and return their responses within `seconds`.

    `context` has the trusted certificates; None: those of this machine.
    """
    if endpoint.is_tls and context is None:
        context = default_context()
    deadline = time.monotonic() + seconds
    sendings = [_Sending(endpoint, request, seconds, context) for request in requests]
    for sending in sendings:
        sending.start()
    for sending in sendings:
        sending.join(max(0.0, deadline - time.monotonic()))
    return [sending.end() for sending in sendings]


class _Sending(threading.Thread):
    """One request, in its own thread: a socket's timeout limits neither the time of a name lookup, nor that of a
    response that arrives byte by byte."""

    def __init__(
        self, endpoint: Endpoint, request: Request, seconds: float, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(name="webhook", daemon=True)
        self._endpoint, self._request, self._seconds = endpoint, request, seconds
        self._connection = (
            http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=seconds, context=context)
            if endpoint.is_tls
            else http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=seconds)
        )
        self._connection.response_class = _FinalResponse
        self._response: Response | None = None

    def run(self) -> None:
        headers = {
            "Content-Type": "application/json",
            "Connection": "close",
            "User-Agent": "image-pipeline-webhooks",
        }
        try:
            self._connection.request(
                "POST", self._endpoint.target, self._request.body, headers | dict(self._request.headers)
            )
            found = self._connection.getresponse()
            self._response = Response(found.status, f"status {found.status}", found.headers.get("Retry-After"))
            found.close()
        except TimeoutError:
            return
        except Exception as error:  # whatever it is, the webhook was not delivered
            self._response = Response(None, _reason(error))
        finally:
            self._connection.close()

    def end(self) -> Response:
        """Return the response. If there is none yet, close the connection, which ends the thread."""
        response = self._response or Response(None, f"no response within {self._seconds:g} s")
        connected: socket.socket | None = self._connection.sock
        if self.is_alive() and connected is not None:
            with contextlib.suppress(OSError, ValueError):
                connected.shutdown(socket.SHUT_RDWR)
        return response


def _reason(error: Exception) -> str:
    """Describe an error, without text that the receiver sent and without the URL."""
    name = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{name}: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return name
