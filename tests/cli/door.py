"""A door in front of a running API: requests go through and are noted, or meet what a test has planned."""

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
    """A request that came to the door."""

    method: str
    path: str
    headers: dict[str, str]
    size: int


@dataclass
class Reply:
    """An answer; one that `is_cut` breaks off in the middle of its body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_cut: bool = False


def json_reply(status: int, value: Any, **headers: str) -> Reply:
    """An answer in JSON; in header names `_` is `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, {"Content-Type": "application/json", **named}, json.dumps(value).encode())


def error_reply(status: int, code: str, **headers: str) -> Reply:
    """An error as the API answers it."""
    return json_reply(
        status, {"status": "error", "data": None, "error": {"code": code, "message": f"It is {code}."}}, **headers
    )


Act = Callable[[Callable[[], Reply]], Reply | None]
"""What happens to a request: given a way to let it through, the answer; None where the connection just ends."""


def lose_response(through: Callable[[], Reply]) -> Reply | None:
    """The request does its work, and nobody hears of it."""
    through()
    return None


def cut_response(through: Callable[[], Reply]) -> Reply | None:
    """The connection ends in the middle of the answer."""
    return replace(through(), is_cut=True)


class Door:
    """`url` is where it is. What nothing is planned for goes through, to the path that `rewrite` gives."""

    def __init__(self, upstream: str | None) -> None:
        self._upstream = httpx.Client(base_url=upstream, timeout=60, trust_env=False) if upstream else None
        self._planned: list[tuple[str, str, Act]] = []
        self._always: list[tuple[str, str, Act]] = []
        self._lock = threading.Lock()
        self.received: list[ReceivedRequest] = []
        self.url = ""
        self.rewrite: Callable[[str], str] = lambda path: path

    def plan(self, method: str, path: str, *acts: Act) -> None:
        """The next requests with this method, to a path that begins so: one act each."""
        self._planned += [(method, path, act) for act in acts]

    def always(self, method: str, path: str, act: Act) -> None:
        """All requests with this method, to a path that begins so."""
        self._always.append((method, path, act))

    def clear_plans(self) -> None:
        """From now on everything goes through."""
        self._planned.clear()
        self._always.clear()

    def requests(self, method: str, path: str = "/") -> list[ReceivedRequest]:
        """Those that came so far."""
        return [one for one in self.received if one.method == method and one.path.startswith(path)]

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(size)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.received.append(ReceivedRequest(handler.command, handler.path, headers, len(body)))
            act = self._act_for(handler.command, handler.path)

        def through() -> Reply:
            assert self._upstream is not None, f"{handler.command} {handler.path} was not planned"
            kept = {name: value for name, value in headers.items() if name not in _OF_A_CONNECTION}
            path = self.rewrite(handler.path)
            response = self._upstream.request(handler.command, path, content=body, headers=kept)
            return Reply(response.status_code, dict(response.headers), response.content)

        reply = act(through)
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
        for wanted, start, act in self._always:
            if method == wanted and path.startswith(start):
                return act
        return lambda through: through()


@contextmanager
def door_to(upstream: str | None) -> Iterator[Door]:
    """A door to this API; to none, where a test plans all answers."""
    door = Door(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):  # clients are interrupted here
                super().handle_one_request()

        def log_message(self, *_: Any) -> None:
            """Read `received` to see the requests."""

        def _pass_on(self) -> None:
            door.pass_on(self)

        do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    door.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
