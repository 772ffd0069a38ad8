"""Decoding in a child process: its limits, the result for files that crash it, and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_core.errors import CorruptImage, TooManyPixels
from image_processor.picture import isolated
from image_processor.picture.decode import decode, memory_errors
from image_processor.picture.isolated import IsolatedDecoder, Killed
from image_processor.picture.isolated_process import Task
from tests import heif_files, pictures

TASK = Task("tiff", max_pixels=100, max_frames=7, largest_side=300, memory_bytes=400 << 20, cpu_seconds=60)
MODULE = "tests.misbehaving_decoder"

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit of memory")


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    isolated_decoder = IsolatedDecoder(MODULE)
    yield isolated_decoder
    isolated_decoder.close()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def is_running(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return state != "" and not state.startswith("Z")


def test_the_child_returns_everything_about_a_picture(decoder: IsolatedDecoder) -> None:
    result = decoder.decode(b"show", TASK)

    assert (result.format, result.width, result.height, result.mode) == ("tiff", 2, 3, "RGB")
    assert (result.bit_depth, result.alpha, result.frames) == (8, False, 7)
    assert (result.icc_profile, result.dpi, result.covered) == (b"profile", (72.0, 72.0), (0, 0, 2, 300.0))
    assert (result.stored.size, result.stored.getpixel((1, 2))) == ((2, 3), (255, 0, 0))
    assert result.exif.position == {"latitude": 1.5}
    assert result.warnings == ("hdr",)


def test_one_child_decodes_several_pictures(decoder: IsolatedDecoder) -> None:
    assert decoder.pid is None
    decoder.decode(b"show", TASK)
    first = decoder.pid

    decoder.decode(b"show", TASK)

    assert decoder.pid == first


def test_what_libraries_print_does_not_get_into_the_responses(decoder: IsolatedDecoder) -> None:
    assert decoder.decode(b"print", TASK).width == 2
    assert decoder.decode(b"show", TASK).width == 2


def test_the_child_returns_an_error_with_its_message(decoder: IsolatedDecoder) -> None:
    with pytest.raises(TooManyPixels, match="far too many"):
        decoder.decode(b"refuse far too many", TASK)


def test_an_error_keeps_the_decoders_error_as_its_cause() -> None:
    with pytest.raises(CorruptImage) as caught:
        decode(pictures.cut(pictures.heic()), max_pixels=1_000_000, largest_side=300)

    assert "SyntaxError" in str(caught.value.__cause__)


def test_the_child_has_no_credentials_in_its_environment(
    decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    names = set(decoder.decode(b"show", TASK).exif.tags)

    assert "PYTHONPATH" in names
    assert not [name for name in names if name.startswith("AWS")]


@only_linux
def test_a_picture_that_takes_more_memory_than_allowed_is_corrupt(decoder: IsolatedDecoder) -> None:
    assert decoder.decode(b"allocate 100000000", TASK).width == 2

    with pytest.raises(CorruptImage, match="more memory than its size accounts for"), memory_errors(100):
        decoder.decode(b"allocate 500000000", TASK)

    # The limit applies to each picture separately.
    assert decoder.decode(b"allocate 500000000", replace(TASK, memory_bytes=1_000_000_000)).width == 2


def test_a_picture_that_takes_too_long_is_corrupt(decoder: IsolatedDecoder) -> None:
    with pytest.raises(CorruptImage, match="too long"):
        decoder.decode(b"loop", replace(TASK, cpu_seconds=1))

    assert decoder.decode(b"show", TASK).width == 2


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS])
def test_a_picture_that_crashes_its_decoder_is_corrupt_and_the_next_gets_a_new_child(
    number: signal.Signals, decoder: IsolatedDecoder
) -> None:
    with pytest.raises(CorruptImage, match="crash"):
        decoder.decode(f"die {number}".encode(), TASK)

    assert decoder.decode(b"show", TASK).width == 2


def test_a_decoder_that_aborts_needed_too_much_memory(decoder: IsolatedDecoder) -> None:
    with pytest.raises(CorruptImage, match="memory"), memory_errors(100):
        decoder.decode(f"die {signal.SIGABRT}".encode(), TASK)


def test_a_killed_child_does_not_make_the_file_corrupt(decoder: IsolatedDecoder) -> None:
    with pytest.raises(Killed), memory_errors(100):
        decoder.decode(f"die {signal.SIGKILL}".encode(), TASK)

    assert issubclass(Killed, MemoryError), "so that the message is delivered again"
    assert decoder.decode(b"show", TASK).width == 2


def test_a_child_that_was_killed_between_two_pictures_is_replaced(decoder: IsolatedDecoder) -> None:
    decoder.decode(b"show", TASK)
    assert decoder.pid
    os.kill(decoder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, decoder.pid, os.WEXITED | os.WNOWAIT)

    assert decoder.decode(b"show", TASK).width == 2


def test_a_child_that_exits_without_a_signal_does_not_make_the_file_corrupt(decoder: IsolatedDecoder) -> None:
    with pytest.raises(OSError, match="status 3"):
        decoder.decode(b"exit 3", TASK)


PARENT = f"""
import sys
from image_processor.picture.isolated import IsolatedDecoder
from tests.unit.processor.test_isolated import TASK
decoder = IsolatedDecoder({MODULE!r})
decoder.decode(b"show", TASK)
print(decoder.pid, flush=True)
decoder.decode(sys.argv[1].encode(), TASK)
sys.stdin.read()
"""


@pytest.mark.parametrize("decoding", [False, pytest.param(True, marks=only_linux)])
def test_the_child_ends_when_its_parent_is_killed(decoding: bool, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = f"tell {begun}" if decoding else "show"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    if decoding:
        wait_until(begun.exists)
    assert is_running(child)

    parent.kill()
    parent.communicate()

    wait_until(lambda: not is_running(child))


def test_ctrl_c_is_not_sent_to_the_child(decoder: IsolatedDecoder) -> None:
    decoder.decode(b"show", TASK)

    assert decoder.pid
    assert os.getpgid(decoder.pid) != os.getpgid(0)


# Real files. If only decoding reveals what is wrong with a file, the child's limits stop it.


def decoded(data: bytes, max_pixels: int = 1_000_000) -> None:
    decode(data, max_pixels=max_pixels, largest_side=300)


@only_linux
def test_an_avif_that_hides_its_size_from_the_inspection_reaches_the_memory_limit() -> None:
    hidden = heif_files.padded(heif_files.av1(9_000, 9_000))

    with pytest.raises(CorruptImage):
        decoded(heif_files.heif(hidden.item(64, 64)))


@pytest.mark.parametrize("name", ["tiff", "avif", "heic"])
def test_these_formats_are_decoded_in_the_child(name: str) -> None:
    data = pictures.heic() if name == "heic" else pictures.encode(pictures.scene(), name)
    decoded(data)
    before = isolated.decoder().pid
    assert before
    os.kill(before, signal.SIGSTOP)  # a child that does not run decodes nothing
    thread = threading.Thread(target=decoded, args=(data,), daemon=True)

    thread.start()

    thread.join(0.2)
    assert thread.is_alive()
    os.kill(before, signal.SIGCONT)
    thread.join(30)
    assert not thread.is_alive()
