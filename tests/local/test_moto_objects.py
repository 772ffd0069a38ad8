"""`local.moto_patches.objects`: bodies are in closed files, which are deleted when they are no longer needed."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import ports
from local.child import Child
from tests.local.side_by_side import Emulator

MEGABYTE = 1_000_000


class Running:
    """An emulator in a separate process, and its S3 client."""

    def __init__(self, environment: dict[str, str], temporary: Path) -> None:
        listening = ports.listen("127.0.0.1", 0, option="")
        fd = listening.fileno()
        env = environment | {"TMPDIR": str(temporary)}
        self.child = Child("aws", "local.aws", ["--fd", str(fd)], env, pass_fds=[fd])
        self.s3 = Emulator(ports.url_of(listening)).client("s3")
        listening.close()
        self._temporary = temporary

    def folder(self) -> Path | None:
        """Return the folder of the emulator's bodies."""
        folders = list(self._temporary.glob("image-pipeline-objects-*"))
        assert len(folders) <= 1
        return folders[0] if folders else None

    def files(self) -> list[int]:
        """Return the sizes of the stored bodies."""
        folder = self.folder()
        return sorted(file.stat().st_size for file in folder.iterdir()) if folder else []

    def body(self, key: str, **more: str) -> bytes:
        return bytes(self.s3.get_object(Bucket="bucket", Key=key, **more)["Body"].read())


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Running]]:
    """Returns a function that starts emulators with a shared folder for temporary files."""
    started = []

    def start() -> Running:
        started.append(Running(environment, tmp_path))
        with contextlib.suppress(ClientError):
            started[-1].s3.create_bucket(Bucket="bucket")
        return started[-1]

    yield start
    for running in started:
        running.child.stop()


@pytest.fixture
def running(start: Callable[[], Running]) -> Running:
    return start()


def put(running: Running, key: str, body: bytes, **more: Any) -> str:
    return str(running.s3.put_object(Bucket="bucket", Key=key, Body=body, **more).get("VersionId"))


def test_bodies_are_read_from_files_that_are_not_open(running: Running) -> None:
    bodies = {"empty": b"", "small": b"small", "large": os.urandom(20 * MEGABYTE)}
    for key, body in bodies.items():
        put(running, key, body)
    assert {key: running.body(key) for key in bodies} == bodies
    assert running.body("large", Range="bytes=100-199") == bodies["large"][100:200]
    assert running.files() == [0, 5, 20 * MEGABYTE]
    assert [path for path in open_files(running.child.pid) if path.startswith(f"{running.folder()}/")] == []


def open_files(pid: int) -> list[str]:
    """Return the files that a process has open. Only Linux shows them without further programs."""
    descriptors = Path(f"/proc/{pid}/fd")
    return [str(fd.readlink()) for fd in descriptors.iterdir()] if sys.platform == "linux" else []


def test_a_body_is_deleted_with_its_object(running: Running) -> None:
    s3 = running.s3
    for key in ("a", "b", "c"):
        put(running, key, b"1")
    put(running, "a", b"22")
    assert running.files() == [1, 1, 2]
    s3.delete_object(Bucket="bucket", Key="a")
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "b"}]})
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/c")
    s3.delete_object(Bucket="bucket", Key="c")
    assert running.body("copy") == b"1"
    s3.delete_object(Bucket="bucket", Key="copy")
    assert running.files() == []


def test_a_body_is_deleted_with_its_version(running: Running) -> None:
    running.s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    old, new = put(running, "a", b"1"), put(running, "a", b"22")
    marker = running.s3.delete_object(Bucket="bucket", Key="a")["VersionId"]
    assert running.files() == [1, 2]  # hidden, but not deleted
    assert running.body("a", VersionId=old) == b"1"
    running.s3.delete_object(Bucket="bucket", Key="a", VersionId=old)
    assert running.files() == [2]
    for version in (marker, new):
        running.s3.delete_object(Bucket="bucket", Key="a", VersionId=version)
    assert running.files() == []


def test_the_parts_of_an_upload_are_deleted_too(running: Running) -> None:
    s3 = running.s3
    part = os.urandom(5 * 2**20)
    for is_completed in (False, True):
        upload = {"Bucket": "bucket", "Key": "a", "UploadId": ""}
        upload["UploadId"] = s3.create_multipart_upload(Bucket="bucket", Key="a")["UploadId"]
        etags = [s3.upload_part(**upload, PartNumber=n, Body=part)["ETag"] for n in (1, 2)]
        if is_completed:
            parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, start=1)]
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
            assert running.body("a") == part + part
            s3.delete_object(Bucket="bucket", Key="a")
        else:
            s3.abort_multipart_upload(**upload)
        assert running.files() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a running process")
def test_a_full_disk_returns_an_error_and_damages_nothing(running: Running) -> None:
    put(running, "a", b"before")
    unlimited = resource.prlimit(running.child.pid, resource.RLIMIT_FSIZE, (MEGABYTE, resource.RLIM_INFINITY))
    with pytest.raises(ClientError) as refused:
        put(running, "a", bytes(2 * MEGABYTE))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert refused.value.response["Error"]["Code"] == "InternalError"
    assert "Free space in" in refused.value.response["Error"]["Message"]
    assert running.files() == [6]
    assert running.body("a") == b"before"
    put(running, "b", b"small")
    resource.prlimit(running.child.pid, resource.RLIMIT_FSIZE, unlimited)
    put(running, "a", bytes(2 * MEGABYTE))
    assert running.files() == [5, 2 * MEGABYTE]


# The folder


def test_the_folder_is_deleted_when_the_emulator_stops(running: Running) -> None:
    put(running, "a", b"1")
    assert running.folder()
    running.child.stop(grace_seconds=20)
    assert running.folder() is None


def test_the_folder_is_deleted_when_the_parent_process_ends(running: Running, eventually: Any) -> None:
    put(running, "a", b"1")
    running.child.stdin.close()  # as the kernel does when that process is killed
    eventually(lambda: running.child.exit_code is not None)
    assert running.folder() is None


def test_the_next_start_deletes_a_leftover_folder_but_not_that_of_a_running_emulator(
    start: Callable[[], Running], eventually: Any, tmp_path: Path
) -> None:
    killed = start()
    put(killed, "a", b"1")
    left = killed.folder()
    os.kill(killed.child.pid, signal.SIGKILL)
    eventually(lambda: killed.child.exit_code is not None)
    assert left is not None and left.exists()

    running = start()
    assert not left.exists()
    put(running, "a", b"1")
    start()
    assert running.files() == [1]


def test_a_symbolic_link_with_the_name_of_a_folder_is_not_followed(
    start: Callable[[], Running], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    link = tmp_path / "image-pipeline-objects-link"
    link.symlink_to(other, target_is_directory=True)
    start()
    assert (other / "file").exists()
