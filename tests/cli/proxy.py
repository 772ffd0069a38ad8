"""A proxy in front of a running API. It records requests and passes them on, or does what a test has planned."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_OF_A_CONNECTION = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the proxy received."""

    method: str
    path: str
    headers: dict[str, str]
    size: int


@dataclass
class Reply:
    """A response. If `is_cut` is set, the connection closes in the middle of the body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_cut: bool = False


def json_reply(status: int, value: Any, **headers: str) -> Reply:
    """Build a JSON response. In header names `_` becomes `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, {"Content-Type": "application/json", **named}, json.dumps(value).encode())


def error_reply(status: int, code: str, **headers: str) -> Reply:
    """Build an error response as the API does."""
    return json_reply(
        status, {"status": "error", "data": None, "error": {"code": code, "message": f"It is {code}."}}, **headers
    )


Act = Callable[[Callable[[], Reply]], Reply | None]
"""What a test does with a request: it gets a function that passes the request on, and returns a response or None.

None closes the connection without a response.
"""


def lose_response(pass_through: Callable[[], Reply]) -> Reply | None:
    """Pass the request on, but close the connection without a response."""
    pass_through()
    return None


def cut_response(pass_through: Callable[[], Reply]) -> Reply | None:
    """Close the connection in the middle of the response."""
    return replace(pass_through(), is_cut=True)


class Proxy:
    """`url` is the proxy's URL. Requests without a plan go to the API, to the path that `rewrite` returns."""

    def __init__(self, upstream: str | None) -> None:
        self._upstream = httpx.Client(base_url=upstream, timeout=60, trust_env=False) if upstream else None
        self._planned: list[tuple[str, str, Act]] = []
        self._always: list[tuple[str, str, Act]] = []
        self._lock = threading.Lock()
        self.received: list[ReceivedRequest] = []
        self.url = ""
        self.rewrite: Callable[[str], str] = lambda path: path

    def plan(self, method: str, path: str, *acts: Act) -> None:
        """Plan the next requests with this method and a path that starts with `path`, one for each act."""
        self._planned += [(method, path, act) for act in acts]

    def always(self, method: str, path: str, act: Act) -> None:
        """Plan all requests with this method and a path that starts with `path`."""
        self._always.append((method, path, act))

    def clear_plans(self) -> None:
        """Pass on all requests from now on."""
        self._planned.clear()
        self._always.clear()

    def requests(self, method: str, path: str = "/") -> list[ReceivedRequest]:
        """Return the requests received so far."""
        return [one for one in self.received if one.method == method and one.path.startswith(path)]

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(size)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.received.append(ReceivedRequest(handler.command, handler.path, headers, len(body)))
            act = self._act_for(handler.command, handler.path)

        def pass_through() -> Reply:
            assert self._upstream is not None, f"{handler.command} {handler.path} was not planned"
            kept = {name: value for name, value in headers.items() if name not in _OF_A_CONNECTION}
            path = self.rewrite(handler.path)
            response = self._upstream.request(handler.command, path, content=body, headers=kept)
            return Reply(response.status_code, dict(response.headers), response.content)

        reply = act(pass_through)
        if reply is None:
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            if name.lower() not in _OF_A_CONNECTION:
                handler.send_header(name, value)
        if reply.status != 204:
            handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) // 2] if reply.is_cut else reply.body)
        handler.close_connection = reply.is_cut

    def _act_for(self, method: str, path: str) -> Act:
        for planned in self._planned:
            if method == planned[0] and path.startswith(planned[1]):
                self._planned.remove(planned)
                return planned[2]
        for planned_method, start, act in self._always:
            if method == planned_method and path.startswith(start):
                return act
        return lambda pass_through: pass_through()


@contextmanager
def run_proxy(upstream: str | None) -> Iterator[Proxy]:
    """Run a proxy to this API, or without an API if the test plans all responses."""
    proxy = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):  # tests interrupt clients
                super().handle_one_request()

        def log_message(self, *_: Any) -> None:
            """Log nothing: `received` has the requests."""

        def _pass_on(self) -> None:
            proxy.pass_on(self)

        do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
