"""Files that contain keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from local.private_files import write_private_json


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_the_file_and_its_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "stack.json"
    write_private_json(path, {"key": "é"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"key": "é"}
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_file_that_everyone_could_read_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_private_json(path, {"key": "new"})
        assert reader.read() == "old"
    assert mode(path) == 0o600


def test_the_key_is_never_in_a_file_that_others_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def note(before: Path, after: Path) -> None:
        seen.append((mode(before), before.read_text()))
        before.rename(after)

    monkeypatch.setattr(Path, "replace", note)
    write_private_json(tmp_path / "stack.json", {"key": "secret"})
    assert [(each, "secret" in text) for each, text in seen] == [(0o600, True)]


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_private_json(tmp_path / "stack.json", {"key": object()})
    assert list(tmp_path.iterdir()) == []
