"""The lines of `export jsonl` and `export csv`, and the content of a sidecar, for hostile and odd records."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from imgpipe.errors import FileError
from imgpipe.images import Image
from imgpipe.sidecars import Sidecars, State, document
from imgpipe.tabular import COLUMNS, csv_line, csv_titles, json_line
from tests.running_stack import ROOT

OTHER_ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4h"


def record(image_id: str = "img_01kb5q3v8n0h2m4x6c8f0a2d4g", *, caption: str | None = None, **data: Any) -> Image:
    metadata = data.pop("metadata", {}) | {"caption": caption}
    fields = {"image_id": image_id, "original_name": "lake.jpg", "metadata": metadata} | data
    return Image({"status": "success", "data": fields, "error": None})


def row(image: Image) -> dict[str, str]:
    (found,) = csv.DictReader(io.StringIO((csv_titles() + csv_line(image)).decode(), newline=""))
    return found


@pytest.mark.parametrize(
    "text", ["é 日本 🏞️", "line\u2028separator \x85 \u2029", "half a pair \ud83c", '"quoted"\\\r\n\t\0', "\x7f\x80"]
)
def test_a_line_of_json_has_everything_that_the_api_returned(text: str) -> None:
    image = record(title=text, metadata={"width": 1, "gps": {"latitude": -33.8568}, "exif": {"FNumber": 2.0}})
    line = json_line(image).decode()
    assert json.loads(line) == image.raw
    assert line.splitlines(keepends=True) == [line], "one line for every kind of reader"


def test_a_line_of_csv_has_the_documented_columns() -> None:
    image = record(
        caption="a lake",
        title='Lake, "dawn"\nand dusk',
        tags=["lake", "sunrise"],
        created_at="2026-11-20T10:00:00Z",
        metadata={
            "width": 1920,
            "size_bytes": 2048576,
            "exif": {"Make": "Canon", "Model": "EOS R5", "DateTimeOriginal": "2026-07-01T10:20:30"},
            "gps": {"latitude": -33.8568, "longitude": 151.2153},
        },
    )
    assert row(image) == dict.fromkeys(COLUMNS, "") | {
        "image_id": image.image_id,
        "status": "success",
        "name": "lake.jpg",
        "created_at": "2026-11-20T10:00:00Z",
        "width": "1920",
        "size_bytes": "2048576",
        "title": 'Lake, "dawn"\nand dusk',
        "caption": "a lake",
        "tags": "lake, sunrise",
        "camera_make": "Canon",
        "camera_model": "EOS R5",
        "taken_at": "2026-07-01T10:20:30",
        "latitude": "-33.8568",
        "longitude": "151.2153",
    }
    assert csv_line(image).endswith(b"\r\n")
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)`", text[text.index("| column |") :].partition("\n\n")[0], re.MULTILINE)
    assert documented == list(COLUMNS)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\uff1d", "\u00a0="])
def test_no_text_becomes_a_formula_in_a_spreadsheet(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    found = row(record(caption=text, title=text, alt_text=text, original_name=text, tags=[text]))
    for column in ("caption", "title", "alt_text", "name", "tags"):
        assert found[column] == f"'{text}"


@pytest.mark.parametrize("text", ["half a pair \ud83c", "nul \0 byte"])
def test_csv_has_no_character_that_readers_reject(text: str) -> None:
    assert "\0" not in row(record(caption=text))["caption"]


def words_of(content: bytes) -> dict[str, list[str]]:
    """The words of a sidecar by property."""
    names = {"x": "adobe:ns:meta/", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}
    root = ElementTree.fromstring(content)
    return {
        element.tag.rpartition("}")[2]: [item.text or "" for item in element.findall("*/rdf:li", names)]
        for element in root.findall("rdf:RDF/rdf:Description/*", names)
    }


def test_a_sidecar_has_the_words_of_its_image() -> None:
    content = document(record(caption="a lake", title="Lake", alt_text="A lake at dawn", tags=["lake", "dawn"]))
    assert content is not None
    assert words_of(content) == {
        "identifier": [],
        "title": ["Lake"],
        "description": ["a lake"],
        "AltTextAccessibility": ["A lake at dawn"],
        "subject": ["lake", "dawn"],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a> & \"b\" 'c' ]]>", "<a> & \"b\" 'c' ]]>"),
        ("\x00\x08\x1b[31mred\ufffe\uffff\ud83c", "[31mred"),
        ("two\r\nlines\rof text", "two\nlines\nof text"),
        ("日本 🏞️", "日本 🏞️"),
        ("<?xpacket end='w'?><!--", "<?xpacket end='w'?><!--"),
    ],
)
def test_any_text_gives_valid_xml(text: str, expected: str) -> None:
    content = document(record(caption=text, title=text, alt_text=text, tags=[text]))
    assert content is not None
    found = words_of(content)
    for name in ("title", "description", "AltTextAccessibility", "subject"):
        assert found[name] == [expected]


@pytest.mark.parametrize("words", [{}, {"alt_text": ""}, {"title": " "}, {"tags": ["\x00"]}, {"tags": None}])
def test_an_image_without_words_has_no_sidecar(words: dict[str, Any], tmp_path: Path) -> None:
    assert document(record(**words)) is None
    assert Sidecars(tmp_path, force=False).write(record(**words)) == (State.WITHOUT_WORDS, None)
    assert list(tmp_path.iterdir()) == []


def test_images_of_one_name_have_a_sidecar_each_and_keep_it(tmp_path: Path) -> None:
    sidecars = Sidecars(tmp_path, force=False)
    first, second = record(caption="one"), record(OTHER_ID, caption="two")
    paths = {"lake.jpg.xmp": b"one", f"lake-{OTHER_ID}.jpg.xmp": b"two"}
    for state in (State.WRITTEN, State.UNCHANGED):
        assert [sidecars.write(image)[0] for image in (first, second)] == [state, state]
        assert {path.name for path in tmp_path.iterdir()} == paths.keys()
    assert all(words in (tmp_path / name).read_bytes() for name, words in paths.items())
    assert sidecars.write(record(OTHER_ID, caption="three"))[0] is State.WRITTEN
    assert b"three" in (tmp_path / f"lake-{OTHER_ID}.jpg.xmp").read_bytes()


@pytest.mark.parametrize("size", [None, 5])
def test_a_sidecar_belongs_to_the_image_with_the_bytes_of_the_file(tmp_path: Path, size: int | None) -> None:
    (tmp_path / "lake.jpg").write_bytes(b"older")
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("newer", "older")}
    newer = record(OTHER_ID, caption="newer", metadata={"sha256": digests["newer"], "size_bytes": size})
    older = record(caption="older", metadata={"sha256": digests["older"], "size_bytes": size})
    sidecars = Sidecars(tmp_path, force=False)
    assert [sidecars.write(image)[1] for image in (newer, older)] == [
        tmp_path / f"lake-{OTHER_ID}.jpg.xmp",
        tmp_path / "lake.jpg.xmp",
    ]


FOREIGN = b'<?xml version="1.0"?><x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2"></x:xmpmeta>'


def test_a_sidecar_of_another_program_stays_unless_force_is_set(tmp_path: Path) -> None:
    path = tmp_path / "lake.jpg.xmp"
    path.write_bytes(FOREIGN)
    with pytest.raises(FileError, match="another program; use --force"):
        Sidecars(tmp_path, force=False).write(record(caption="a lake"))
    assert path.read_bytes() == FOREIGN
    assert Sidecars(tmp_path, force=True).write(record(caption="a lake")) == (State.WRITTEN, path)
    assert b"a lake" in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.xmp"
    Sidecars(tmp_path, force=False).write(record(caption="old", original_name="elsewhere"))
    before = elsewhere.read_bytes()
    link = tmp_path / "lake.jpg.xmp"
    link.symlink_to(elsewhere)
    with pytest.raises(FileError):
        Sidecars(tmp_path, force=False).write(record(caption="new"))
    assert Sidecars(tmp_path, force=True).write(record(caption="new"))[1] == link
    assert (link.is_symlink(), elsewhere.read_bytes()) == (False, before)
