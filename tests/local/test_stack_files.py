"""The files that describe a running stack belong to exactly one stack."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from local.stack_files import FolderInUse, StackFiles, claim
from ops.target import NoSuchStack, local_stack

FIRST, SECOND = "http://127.0.0.1:8000", "http://127.0.0.1:8001"
DESCRIPTION = {
    "region": "us-east-1",
    "external": False,
    "settings": {
        "UPLOADS_BUCKET": "uploads",
        "THUMBNAILS_BUCKET": "thumbnails",
        "IMAGES_TABLE": "images",
        "STATS_TABLE": "stats",
        "SEARCH_TABLE": "search",
        "QUEUE_URL": "http://127.0.0.1:4566/1/queue",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    },
}


def start(folder: Path, port: int = 8000) -> StackFiles:
    files = claim(None, port=port, api_url=f"http://127.0.0.1:{port}", folder=folder)
    files.write(env={"ApiFunction": {"PORT": str(port)}}, description=DESCRIPTION)
    return files


def kill(files: StackFiles) -> None:
    """Release the lock and leave the files, as the kernel does when the process is killed."""
    os.close(files._lock)


def test_a_running_stack_is_found_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    files = start(tmp_path / ".local")
    assert local_stack(files.description).name == "local stack at http://127.0.0.1:4566"
    files.remove()
    with pytest.raises(NoSuchStack, match="no local stack is running"):
        local_stack(files.description)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_stack_is_not_mistaken_for_a_running_one(tmp_path: Path) -> None:
    killed = start(tmp_path)
    kill(killed)
    assert killed.description.exists()
    with pytest.raises(NoSuchStack, match="has stopped"):
        local_stack(killed.description)
    assert start(tmp_path, 8001).env_file == killed.env_file, "the next stack replaces it"
    assert local_stack(killed.description)


def test_a_second_stack_has_its_own_files_and_warns_about_the_first(tmp_path: Path) -> None:
    first, second = start(tmp_path), start(tmp_path, 8001)
    assert (first.other_url, second.other_url) == (None, FIRST)
    assert second.env_file == tmp_path / "8001" / "env.json"
    assert json.loads(first.env_file.read_text()) == {"ApiFunction": {"PORT": "8000"}}
    first.remove()
    assert local_stack(second.description)
    with pytest.raises(NoSuchStack):
        local_stack(first.description)
    second.remove()
    assert not second.env_file.parent.exists()


def test_a_requested_folder_is_refused_while_another_stack_uses_it(tmp_path: Path) -> None:
    first = StackFiles(tmp_path / "env.json", api_url=FIRST)
    with pytest.raises(FolderInUse, match=f"{FIRST} has its files in {tmp_path}"):
        claim(tmp_path / "other.json", port=8001, api_url=SECOND)
    first.remove()
    claim(tmp_path / "other.json", port=8001, api_url=SECOND).remove()


def test_only_the_owner_reads_the_files(tmp_path: Path) -> None:
    files = start(tmp_path / ".local")
    for path in (files.env_file.parent, *files.env_file.parent.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
