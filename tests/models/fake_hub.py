"""A fake Hugging Face hub on this machine, with everything that a download of one repository needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

REVISION = "82a37760796d32b1411fe092ab5d4e227313294b"


LARGE_BYTES = 1_000_000
"""Files of at least this size are in Git LFS, and the hub reports their SHA-256; for others, git's SHA-1."""


@dataclass
class SlowConnection:
    """Sends a large file up to `bytes_at_first`, and the rest after `released` is set."""

    bytes_at_first: int
    released: Event = field(default_factory=Event)
    starts: list[int] = field(default_factory=list)
    """The first byte of each request for a large file."""


@contextmanager
def serve(
    repository: str,
    folder: Path,
    damaged: Mapping[str, bytes] | None = None,
    *,
    slow_connection: SlowConnection | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """Run a hub with one repository. Yields its address, and a list of the files fetched so far.

    The repository contains the files of `folder`. `damaged` maps files to the content that is sent instead, with
    the
    original checksum. It may change while the hub runs.
    """
    fetched: list[str] = []
    sent = {} if damaged is None else damaged

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._respond(body=True)

        def do_HEAD(self) -> None:
            self._respond(body=False)

        def _respond(self, *, body: bool) -> None:
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
            content = (folder / name).read_bytes()
            self._send(sent.get(name, content), body, "application/octet-stream", _checksum(content))

        def _send(self, content: bytes, body: bool, kind: str, etag: str = "") -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if etag:
                self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                with suppress(ConnectionError):  # the client was interrupted
                    self._write(content, start)

        def _write(self, content: bytes, start: int) -> None:
            if slow_connection is not None and len(content) >= LARGE_BYTES:
                slow_connection.starts.append(start)
                at_first = content[start : slow_connection.bytes_at_first]
                self.wfile.write(at_first)
                slow_connection.released.wait()
                start += len(at_first)
            self.wfile.write(content[start:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
    finally:
        if slow_connection is not None:
            slow_connection.released.set()
        server.shutdown()
        server.server_close()


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if len(content) >= LARGE_BYTES else _git_sha1(content)


def _git_sha1(content: bytes) -> str:
    """Return the SHA-1 that `git hash-object` prints."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _descriptions(repository: str, folder: Path) -> dict[str, Any]:
    paths = sorted(folder.iterdir())
    siblings: list[dict[str, Any]] = []
    tree: list[dict[str, Any]] = []
    for path in paths:
        content = path.read_bytes()
        checksum, size = _checksum(content), len(content)
        blob = _git_sha1(content) if size < LARGE_BYTES else _git_sha1(b"a pointer to " + checksum.encode())
        large = {"size": size, "pointerSize": 134} if size >= LARGE_BYTES else None
        siblings.append({"rfilename": path.name, "size": size, "blobId": blob})
        tree.append({"type": "file", "path": path.name, "size": size, "oid": blob})
        if large:
            siblings[-1]["lfs"] = {**large, "sha256": checksum}
            tree[-1]["lfs"] = {**large, "oid": checksum}
    return {
        **{
            f"/api/models/{repository}/revision/{revision}": {
                "id": repository,
                "sha": REVISION,
                "private": False,
                "siblings": siblings,
            }
            for revision in (REVISION, "main")
        },
        f"/api/models/{repository}/tree/{REVISION}": tree,
    }
