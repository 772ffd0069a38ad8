"""The child process that `isolated` starts. It decodes one file after another, each within limits.

A message is a JSON object and parts of raw bytes, preceded by their lengths. Requests are read from standard input
until it ends, responses are written to standard output. Nothing is unpickled, because a hostile file may have taken
over the process that writes.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import resource
import select
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from image_core.errors import ImageError
from image_processor.picture.decoded import Decoded
from image_processor.picture.decoding import decode_file
from image_processor.picture.formats import DecodeLimits

MAX_FIELDS_BYTES = 1 << 20
MAX_PARTS = 2
_HEAD = struct.Struct(f"<{1 + MAX_PARTS}Q")
"""Lengths in bytes of the JSON object and of each part."""

_REQUESTS, _RESPONSES, _ERRORS = 0, 1, 2


@dataclass(frozen=True)
class Task:
    """How to decode the file that is sent with it, and the limits."""

    format: str
    max_pixels: int
    max_frames: int
    largest_side: int
    memory_bytes: int
    """Limit of the whole process."""
    cpu_seconds: int


class Message(NamedTuple):
    fields: dict[str, Any]
    parts: list[bytes]


def send(stream: IO[bytes], fields: Mapping[str, object], *parts: bytes) -> None:
    """Write a message. Raises BrokenPipeError if the reader has closed the pipe."""
    body = json.dumps(fields).encode()
    lengths = [len(part) for part in parts] + [0] * (MAX_PARTS - len(parts))
    for part in (_HEAD.pack(len(body), *lengths), body, *parts):
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes], max_bytes: int | None = None) -> Message | None:
    """Read a message. None if the stream ends before or within it. Raises ValueError if it is too long."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, *lengths = _HEAD.unpack(head)
    if max_bytes is not None and (length > MAX_FIELDS_BYTES or sum(lengths) > max_bytes):
        raise ValueError("The message is too long.")
    body, *parts = (stream.read(one) for one in (length, *lengths))
    if [len(part) for part in (body, *parts)] != [length, *lengths]:
        return None
    return Message(json.loads(body), parts)


Work = Callable[[bytes, str, DecodeLimits, int], Decoded]


def serve(work: Work = decode_file) -> None:
    """Run tasks until standard input ends."""
    # Output of libraries must not get into the responses.
    requests, responses = os.fdopen(_REQUESTS, "rb"), os.fdopen(os.dup(_RESPONSES), "wb")
    os.dup2(_ERRORS, _RESPONSES)
    _limit(resource.RLIMIT_CORE, 0)
    while (request := receive(requests)) is not None:
        with _ending_with_parent():
            response = _response(Task(**request.fields), request.parts[0], work)
        del request
        send(responses, response.fields, *response.parts)


def _response(task: Task, data: bytes, work: Work) -> Message:
    _limit_to(task)
    try:
        decoded = work(data, task.format, DecodeLimits(task.max_pixels, task.max_frames), task.largest_side)
        return _packed(decoded)
    except ImageError as error:
        return Message({"error": error.code, "message": error.message, "cause": repr(error.__cause__)[:500]}, [])
    except MemoryError:
        return Message({"error": None, "cause": "out of memory"}, [])


def _packed(decoded: Decoded) -> Message:
    fields = {
        "width": decoded.width,
        "height": decoded.height,
        "mode": decoded.mode,
        "bit_depth": decoded.bit_depth,
        "alpha": decoded.alpha,
        "frames": decoded.frames,
        "dpi": decoded.dpi,
        "stored_mode": decoded.stored.mode,
        "stored_size": decoded.stored.size,
        "covered": decoded.covered,
        "tags": dict(decoded.exif.tags),
        "position": decoded.exif.position,
        "orientation": decoded.exif.orientation,
        "warnings": decoded.warnings,
    }
    return Message(fields, [decoded.stored.tobytes(), decoded.icc_profile])


def _limit_to(task: Task) -> None:
    # RLIMIT_DATA counts memory that is written to. RLIMIT_AS also counts memory that is reserved and never used.
    _limit(resource.RLIMIT_DATA, task.memory_bytes)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + task.cpu_seconds)


def _limit(kind: int, value: int) -> None:
    """Set the soft limit. The hard limit stays, so that the next task can raise the soft one again."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


@contextmanager
def _ending_with_parent() -> Iterator[None]:
    """End this process when its parent ends, even in the middle of a decoder.

    The parent writes nothing until it has its response, so a change of standard input means that it was closed.
    Linux then sends SIGIO, which ends the process (macOS ignores it). PR_SET_PDEATHSIG would already be sent when
    the thread ends that started this process.
    """
    flags = fcntl.fcntl(_REQUESTS, fcntl.F_GETFL)
    fcntl.fcntl(_REQUESTS, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(_REQUESTS, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([_REQUESTS], [], [], 0)[0]:
        os._exit(0)
    try:
        yield
    finally:
        fcntl.fcntl(_REQUESTS, fcntl.F_SETFL, flags)


if __name__ == "__main__":
    serve()
