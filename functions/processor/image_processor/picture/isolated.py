"""Decode a file in a child process, whose memory and CPU time the kernel limits.

An AVIF, HEIC or TIFF contains pictures inside of pictures. Their libraries find out the size of these while they
decode, so no header shows in advance how much memory a file will take. The kernel's limits apply whatever the file
says, and a decoder that crashes ends only the child.

One child is started for the first such file and kept for the next one. It decodes one file at a time, and ends with
this process. It is not a sandbox: it runs as the same user. macOS does not enforce the memory limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from functools import cache

from PIL import Image

from image_core.errors import IMAGE_ERRORS, CorruptImage
from image_processor.picture import isolated_process
from image_processor.picture.decoded import Decoded
from image_processor.picture.exif import Exif
from image_processor.picture.formats import DecodeLimits
from image_processor.picture.isolated_process import Message, Task, receive, send

CPU_SECONDS = 100
"""The slowest valid files, HEIC of 100 megapixels in 10 bits with alpha, take about 40. The limit is below the
function's timeout, so a decoder that hangs in one thread fails its image at the first attempt."""
PROCESS_BYTES = 192 << 20
"""Memory of the interpreter, its libraries and the stacks of their threads: 67 MB measured with two threads."""

_OUT_OF_MEMORY = signal.SIGABRT
"""The signal that ends the process if an allocation fails in a C++ library."""
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
_INHERITED = ("LD_LIBRARY_PATH",)
"""Lambda's Python needs this variable to find its own library. The child inherits no other, such as AWS
credentials."""


class Killed(MemoryError):
    """The child was killed from outside: by the kernel, which ran out of memory, or by an operator."""


def decode_file(data: bytes, name: str, limits: DecodeLimits, largest_side: int, *, memory_bytes: int) -> Decoded:
    """Decode a file as `decoding.decode_file` does, in the child of this process.

    `memory_bytes`: the memory that the decoders may take, in addition to the file.

    Raises what `decoding.decode_file` raises. CorruptImage also means that the decoder crashed or took too long,
    MemoryError that it took more than `memory_bytes`, and Killed that the machine is the cause.
    """
    task = Task(
        format=name,
        max_pixels=limits.pixels,
        max_frames=limits.frames,
        largest_side=largest_side,
        memory_bytes=memory_bytes + 2 * len(data) + PROCESS_BYTES,
        cpu_seconds=CPU_SECONDS,
    )
    return decoder().decode(data, task)


@cache
def decoder() -> IsolatedDecoder:
    """Return the decoder of this process."""
    return IsolatedDecoder()


class IsolatedDecoder:
    """The child process and the pipes to it. It runs `module`."""

    def __init__(self, module: str = isolated_process.__name__) -> None:
        self._module = module
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The child's process id. None before the first task, and after a task that ended the child."""
        return None if self._child is None else self._child.pid

    def decode(self, data: bytes, task: Task) -> Decoded:
        """Run the task in the child, see `decode_file`."""
        with self._lock:
            return _decoded(task.format, self._ask(data, task))

    def close(self) -> None:
        """End the child, if there is one. The next task starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _ask(self, data: bytes, task: Task) -> Message:
        child = self._running()
        assert child.stdin and child.stdout
        try:
            with contextlib.suppress(BrokenPipeError):  # the child's exit status has the cause
                send(child.stdin, asdict(task), data)
            response = receive(child.stdout, task.memory_bytes)
        except BaseException:
            self.close()  # else the next task would get this one's response
            raise
        if response is None:
            self._child = None
            raise _exit_error(child)
        return response

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
                process_group=0,  # Ctrl-C reaches only this process, and the child ends with it
            )
        return self._child


def _environment() -> dict[str, str]:
    inherited = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}
    # numpy would start a thread for each CPU.
    return inherited | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}


def _exit_error(child: subprocess.Popen[bytes]) -> Exception:
    """Return the error for a child that ended without a response."""
    child.communicate()
    status = child.returncode
    if status == -signal.SIGXCPU:
        return CorruptImage("The image takes too long to decode.")
    if status == -_OUT_OF_MEMORY:
        return MemoryError("The decoder aborted.")
    if -status in _CRASHES:
        return CorruptImage("The image makes its decoder crash.")
    if status == -signal.SIGKILL:
        return Killed("The decoding process was killed.")
    return ChildProcessError(f"The decoding process ended with status {status}.")


def _decoded(name: str, response: Message) -> Decoded:
    fields, parts = response.fields, response.parts
    if "error" in fields:
        cause = OSError(fields["cause"])
        if fields["error"] is None:
            raise MemoryError from cause
        raise IMAGE_ERRORS[fields["error"]](fields["message"]) from cause
    pixels, icc_profile = parts
    return Decoded(
        format=name,
        width=fields["width"],
        height=fields["height"],
        mode=fields["mode"],
        bit_depth=fields["bit_depth"],
        alpha=fields["alpha"],
        frames=fields["frames"],
        icc_profile=icc_profile,
        dpi=None if fields["dpi"] is None else tuple(fields["dpi"]),
        stored=Image.frombytes(fields["stored_mode"], fields["stored_size"], pixels),
        covered=tuple(fields["covered"]),
        exif=Exif(fields["tags"], fields["position"], fields["orientation"]),
        warnings=tuple(fields["warnings"]),
    )
