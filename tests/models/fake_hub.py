"""A Hugging Face hub on this machine: as much of it as fetching one repository needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

REVISION = "82a37760796d32b1411fe092ab5d4e227313294b"


@contextmanager
def serve(repository: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub with one repository, the files of `folder`, and a list of the files fetched so far."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            if path in (described := _descriptions(repository, folder)):
                self._send(json.dumps(described[path]).encode(), body, "application/json")
                return
            name = path.removeprefix(f"/{repository}/resolve/{REVISION}/")
            if name == path or not (folder / name).is_file():
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if body:
                fetched.append(name)
            self._send((folder / name).read_bytes(), body, "application/octet-stream")

        def _send(self, content: bytes, body: bool, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
    finally:
        server.shutdown()
        server.server_close()


def _descriptions(repository: str, folder: Path) -> dict[str, object]:
    paths = sorted(folder.iterdir())
    siblings = [{"rfilename": path.name} for path in paths]
    tree = [{"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "0" * 40} for path in paths]
    return {
        f"/api/models/{repository}/revision/{REVISION}": {
            "id": repository,
            "sha": REVISION,
            "private": False,
            "siblings": siblings,
        },
        f"/api/models/{repository}/tree/{REVISION}": tree,
    }
