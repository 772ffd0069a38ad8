"""Names that attack terminals, headers or folders: they are stored unchanged and do no harm."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import IMAGE_ID, Imgpipe
from tests.cli.proxy import Proxy, Reply, json_reply, run_proxy
from tests.cli.terminals import run_in_terminal
from tests.pictures import jpeg
from tests.running_stack import Stack

HOSTILE = [
    "[red]red.jpg",
    "[link=evil]here.jpg",
    "\x1b]0;owned\x07.jpg",
    "\x1b[2J\x1b[31mclear.jpg",
    "new\nline.jpg",
    "carriage\rreturn.jpg",
    'quo"te.jpg',
    "percent%22%0D%0a.jpg",
    "=?utf-8?Q?encoded?=.jpg",
    "tab\tbed.jpg",
    "back\\slash.jpg",
    "right\u202egpj.exe.jpg",
    "bell\x07back\x08.jpg",
    "c1\x9b31m.jpg",
    "line\u2028separator.jpg",
    "семейство 家族 🏞️👩\u200d👧.jpg",
    "-rf.jpg",
    "{task.fields[name]}.jpg",
    "n" * 240 + ".jpg",
]
INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def test_hostile_names_are_stored_unchanged_and_printed_harmlessly(
    imgpipe: Imgpipe, stack: Stack, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, name in enumerate(HOSTILE):
        (folder / name).write_bytes(jpeg(40 + number, 40))

    run = imgpipe("upload", "--recursive", folder)

    assert len(run.rows) == len(HOSTILE)
    assert not INVISIBLE.search(run.out + run.err)
    ids = [row[1] for row in run.rows]
    assert {stack.image(image_id)["data"]["original_name"] for image_id in ids} == set(HOSTILE)

    listed = imgpipe("list", "--limit", str(len(HOSTILE)))
    assert not INVISIBLE.search(listed.out)
    assert all(len(row) == 7 for row in listed.rows)

    for image_id in ids:
        stack.finished(image_id)
    copies = tmp_path / "copies"
    result = imgpipe("download", *ids, "--output", copies)
    assert not INVISIBLE.search(result.out)
    assert len(list(copies.iterdir())) == len(HOSTILE)
    assert not [path for path in copies.iterdir() if INVISIBLE.search(path.name) or "\n" in path.name]
    assert sorted(path.read_bytes() for path in copies.iterdir()) == sorted(
        path.read_bytes() for path in folder.iterdir()
    )


@pytest.fixture
def hostile_api() -> Iterator[Proxy]:
    """An API whose records contain names that no file system has."""
    with run_proxy(None) as proxy:
        yield proxy


@pytest.mark.parametrize(
    "name",
    ["../../escaped.jpg", "/tmp/escaped.jpg", "..\\..\\escaped.jpg", "..", ".", "", ".bashrc", "CON", "nul.jpg",
     "a" * 5000, "\u202e\x00\x1b", "é" * 300 + ".jpg"],
)  # fmt: skip
def test_a_record_cannot_choose_where_a_download_goes(
    imgpipe: Imgpipe, hostile_api: Proxy, tmp_path: Path, name: str
) -> None:
    record = {"status": "success", "data": {"image_id": IMAGE_ID, "original_name": name}, "error": None}
    hostile_api.always(
        "GET", f"/api/images/{IMAGE_ID}/thumbnails", lambda _: Reply(200, {"Content-Type": "image/jpeg"}, jpeg())
    )
    hostile_api.always("GET", f"/api/images/{IMAGE_ID}", lambda _: json_reply(200, record))
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)

    imgpipe("--api", hostile_api.url, "download", IMAGE_ID, "--size", "small", "--output", folder)

    (path,) = folder.iterdir()
    assert path.read_bytes() == jpeg()
    assert len(os.fsencode(path.name)) <= 255
    assert path.name.endswith("-small.jpg")
    assert not path.name.startswith(".")
    assert not [letter for letter in path.name if unicodedata.category(letter)[0] == "C"]
    assert list(tmp_path.rglob("*.jpg")) == [path]


def test_a_caption_cannot_control_a_terminal(imgpipe: Imgpipe, hostile_api: Proxy) -> None:
    evil = "[bold]\x1b]0;owned\x07\u202e[/bold]"
    record = {
        "status": "success",
        "data": {"image_id": IMAGE_ID, "original_name": evil, "title": evil, "metadata": {"caption": evil}},
        "error": None,
    }
    hostile_api.always("GET", f"/api/images/{IMAGE_ID}", lambda _: json_reply(200, record))
    hostile_api.always("GET", "/api/images", lambda _: json_reply(200, {"data": [record], "next_cursor": None}))
    for arguments in (["show", IMAGE_ID], ["list"], ["watch", IMAGE_ID]):
        output, code = run_in_terminal(
            [*imgpipe.command("--api", hostile_api.url, *arguments)], imgpipe.environment
        )
        assert code == 0
        assert "owned\x07" not in output
        assert "\x1b]0" not in output
        assert "\u202e" not in output
        assert "[bold]" in output


def test_an_error_message_cannot_control_a_terminal(imgpipe: Imgpipe, hostile_api: Proxy) -> None:
    error = {"code": "odd", "message": "[red]\x1b[31mboo\r\n"}
    hostile_api.always(
        "GET", "/api/stats", lambda _: json_reply(400, {"status": "error", "data": None, "error": error})
    )
    assert imgpipe("--api", hostile_api.url, "stats", code=1).err == "imgpipe: [red]\\x1b[31mboo\\x0d\\x0a\n"
