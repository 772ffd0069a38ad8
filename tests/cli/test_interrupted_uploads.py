"""Interrupted uploads: the same command resumes `imgpipe upload` and creates no image twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import Imgpipe, Run
from tests.cli.conftest import names_on
from tests.cli.proxy import Proxy, Reply, error_reply, run_proxy
from tests.running_stack import Stack, until


class Hold:
    """Passes `free` requests on.

    All later requests are processed too, but their responses are held until `over` is set.
    """

    def __init__(self, free: int) -> None:
        self._free = free
        self._lock = threading.Lock()
        self.held = 0
        self.over = threading.Event()

    def __call__(self, through: Callable[[], Reply]) -> Reply | None:
        reply = through()
        with self._lock:
            self._free -= 1
            if self._free >= 0:
                return reply
            self.held += 1
        self.over.wait(60)
        return reply


@pytest.fixture
def hold() -> Iterator[Hold]:
    hold = Hold(free=3)
    yield hold
    hold.over.set()


def _interrupted(process: subprocess.Popen[bytes], by: signal.Signals) -> Run:
    process.send_signal(by)
    out, err = process.communicate(timeout=30)
    return Run(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("way", ["--post", "--presigned"])
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_uploads_only_what_is_missing(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path], hold: Hold, by: signal.Signals, way: str
) -> None:
    proxy.always("POST", "/api/", hold)
    process = imgpipe.start("upload", "--json", "--jobs", "2", way, *photos)
    until(lambda: hold.held == 2, seconds=30)  # processed by the API, but unknown to imgpipe

    first = _interrupted(process, by)
    hold.over.set()
    second = imgpipe("upload", "--json", "--wait", *photos)

    assert first.code == (130 if by is signal.SIGINT else -signal.SIGKILL)
    states = [document["state"] for document in first.documents]
    assert states == ["uploaded"] * 3
    uploads = [document for document in second.documents if "path" in document]
    assert sorted(document["state"] for document in uploads) == ["skipped"] * 3 + ["uploaded"] * 5
    assert names_on(stack, photos) == sorted(path.name for path in photos)
    assert {stack.image(document["image_id"])["status"] for document in uploads} == {"success"}


def test_an_interrupt_ends_the_upload_at_once_with_a_summary(
    imgpipe: Imgpipe, proxy: Proxy, photos: list[Path], hold: Hold
) -> None:
    proxy.always("POST", "/api/", hold)
    process = imgpipe.start("upload", *photos)
    until(lambda: hold.held == 4, seconds=30)

    run = _interrupted(process, signal.SIGINT)

    assert run.code == 130
    assert "3 of 8 files uploaded" in run.err
    assert "5 remaining" in run.err
    assert "Traceback" not in run.err


def test_an_unfinished_upload_resumes_with_the_same_kind_of_request(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path]
) -> None:
    """The API recognizes a key only in the call in which it was sent before."""
    hold = Hold(free=0)
    proxy.always("POST", "/api/images", hold)
    process = imgpipe.start("upload", "--post", photos[0])
    until(lambda: hold.held == 1, seconds=30)
    _interrupted(process, signal.SIGINT)
    hold.over.set()

    imgpipe("upload", "--presigned", photos[0])

    assert names_on(stack, photos) == [photos[0].name]


def test_a_refused_key_ends_the_batch_and_the_next_run_resumes_it(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path]
) -> None:
    proxy.plan("POST", "/api/", *[lambda through: through()] * 3)
    proxy.always("POST", "/api/", lambda through: error_reply(401, "unauthorised"))

    first = imgpipe("upload", "--jobs", "1", *photos, code=4)
    proxy.clear_plans()
    imgpipe("upload", *photos)

    assert len(first.rows) == 3
    assert "5 remaining" in first.err
    assert names_on(stack, photos) == sorted(path.name for path in photos)


def test_two_simultaneous_runs_create_one_image_for_each_file(
    imgpipe: Imgpipe, stack: Stack, photos: list[Path]
) -> None:
    both = [imgpipe.start("upload", "--json", *photos) for _ in range(2)]
    ids = [
        {one["path"]: one["image_id"] for one in map(json.loads, process.communicate(timeout=60)[0].splitlines())}
        for process in both
    ]
    assert [process.returncode for process in both] == [0, 0]
    assert ids[0] == ids[1]
    assert names_on(stack, photos) == sorted(path.name for path in photos)


def test_every_api_has_its_own_journal(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    imgpipe("upload", photos[0])
    with run_proxy(str(stack.api.base_url)) as other:
        assert imgpipe("--api", other.url, "upload", photos[0], "--json").document["state"] == "uploaded"


def test_uploads_continue_with_a_warning_if_the_journal_cannot_be_written(
    imgpipe: Imgpipe, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    del imgpipe.environment["IMGPIPE_JOURNAL"]
    imgpipe.environment["XDG_STATE_HOME"] = str(tmp_path / "file")

    run = imgpipe("upload", photos[0])

    assert "will start over" in run.err
    assert imgpipe("upload", photos[0], "--journal", tmp_path / "file", code=2).err.startswith(
        "imgpipe: The journal"
    )


def test_the_journal_is_kept_in_the_users_state_folder(
    imgpipe: Imgpipe, photos: list[Path], tmp_path: Path
) -> None:
    del imgpipe.environment["IMGPIPE_JOURNAL"]
    imgpipe.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    imgpipe("upload", photos[0])
    assert os.listdir(tmp_path / "state" / "imgpipe") == ["uploads.sqlite3"]  # noqa: PTH208
    assert imgpipe("upload", photos[0], "--json").document["state"] == "skipped"
