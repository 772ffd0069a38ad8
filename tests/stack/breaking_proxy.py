"""A proxy in front of a running API that breaks its responses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Spoil = Callable[[httpx.Response], None]
"""Changes a response in place before it is sent on."""
_OF_A_HOP = ("connection", "transfer-encoding", "content-encoding")


@contextmanager
def breaking_proxy(upstream: str, spoil: Spoil) -> Iterator[str]:
    """Run a proxy to `upstream` and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            headers["Host"] = httpx.URL(upstream).netloc.decode()
            with httpx.Client(trust_env=False, timeout=60) as client:
                response = client.request(self.command, upstream + self.path, content=body, headers=headers)
            spoil(response)
            self.send_response(response.status_code)
            for name, value in response.headers.multi_items():
                if name not in (*_OF_A_HOP, "content-length", "date", "server"):
                    self.send_header(name, value)
            is_head = self.command == "HEAD"
            length = response.headers.get("content-length", "0") if is_head else str(len(response.content))
            self.send_header("Content-Length", length)
            self.end_headers()
            if not is_head:
                self.wfile.write(response.content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = forward  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()
