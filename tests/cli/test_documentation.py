"""docs/cli.md matches imgpipe."""

from __future__ import annotations

import re

from docs import cli
from imgpipe import errors


def test_the_reference_is_up_to_date() -> None:
    assert cli.FILE.read_text(encoding="utf-8") == cli.document(), "run `make docs`"


def test_every_command_is_in_the_reference() -> None:
    sections = set(re.findall(r"^### `imgpipe (\w+)`$", cli.document(), re.MULTILINE))
    assert sections == {
        "upload", "watch", "list", "search", "review", "show", "download", "export", "delete", "reprocess", "stats",
    }  # fmt: skip


def test_every_exit_code_is_in_the_table() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", cli.document(), re.MULTILINE)}
    assert documented == {
        errors.OK, errors.SOME_FAILED, errors.USAGE, errors.UNREACHABLE, errors.REFUSED, errors.INTERRUPTED,
    }  # fmt: skip
