"""Parts of imgpipe, tested alone where a running API would not show more."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from imgpipe.errors import BadUsage, FileError
from imgpipe.files import Body, inspect_file
from imgpipe.journal import Journal
from imgpipe.retries import Retries, retry_after
from imgpipe.text import harmless, size_text
from tests.pictures import jpeg


@pytest.mark.parametrize(
    "change", [lambda path: path.write_bytes(b"short"), lambda path: os.utime(path, ns=(1, 1))]
)
def test_a_file_that_changes_while_it_is_read_is_not_sent(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "picture.jpg"
    path.write_bytes(jpeg())
    file, _ = inspect_file(path)
    with Body(file, lambda size: None) as body:
        body.read(10)
        change(path)
        with pytest.raises(FileError, match="changed"):
            body.read(10)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(FileError, match="not a file"):
        inspect_file(tmp_path / "pipe.jpg")


def test_bytes_that_are_sent_again_do_not_count_twice(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(jpeg())
    sent: list[int] = []
    with Body(inspect_file(path)[0], sent.append) as body:
        body.read()
        body.rewound().read()
    assert sum(sent) == len(jpeg())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("soon", None), ("", None), ("-3", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(httpx.Response(503, headers={"Retry-After": header})) == seconds


def test_a_retry_after_date_becomes_seconds_from_now() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    found = retry_after(httpx.Response(503, headers={"Retry-After": header}))
    assert found is not None
    assert 50 < found <= 100


def test_pauses_grow_up_to_a_limit_and_respect_the_server() -> None:
    retries = Retries(first_pause=1, longest_pause=10, longest_wait=60)
    for attempt, ceiling in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (50, 10)):
        assert ceiling / 2 <= retries.pause(attempt, None) <= ceiling
    assert retries.pause(1, 30) == 30
    assert retries.pause(1, 1e9) == 60


def test_the_key_of_an_upload_is_on_disk_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(jpeg())
    file, _ = inspect_file(tmp_path / "picture.jpg")
    begun = Journal.open(tmp_path / "journal").begin("http://there", file, "0" * 64)
    assert Journal.open(tmp_path / "journal").unchanged("http://there", file) == begun


def test_an_invalid_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("this is no database, but long enough to be looked at " * 40)
    with pytest.raises(BadUsage, match="cannot be used"):
        Journal.open(tmp_path / "journal")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a b"),
        ("é 家 🏞", "é 家 🏞"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b", "\\x9b"),
        ("a\u202eb", "a\\u202eb"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
        ("no\u00a0break", "no break"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_characters_that_could_control_a_terminal_are_printed_as_escapes(text: str, expected: str) -> None:
    assert harmless(text) == expected


def test_sizes_use_steps_of_a_thousand() -> None:
    assert [size_text(size) for size in (0, 999, 1000, 45_000_000, 2_000_000_000_000)] == [
        "0 bytes", "999 bytes", "1.0 kB", "45.0 MB", "2000.0 GB",
    ]  # fmt: skip
