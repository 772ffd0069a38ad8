"""`download --size` takes whatever sizes the API has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import IMAGE_ID, Imgpipe
from tests.cli.door import Door, Reply, door_to, error_reply, json_reply


@pytest.fixture
def door() -> Iterator[Door]:
    with door_to(None) as door:
        yield door


def show(door: Door, status: str, thumbnails: dict[str, str] | None) -> None:
    """The API has this one image. It returns the thumbnails that the record has, and 404 for every other size."""
    data = {"image_id": IMAGE_ID, "original_name": "lake.heic", "thumbnails": thumbnails}
    for size in thumbnails or {}:
        thumbnail = Reply(200, {"Content-Type": "image/jpeg"}, size.encode())
        door.always("GET", f"/api/images/{IMAGE_ID}/thumbnails/{size}", lambda _, thumbnail=thumbnail: thumbnail)
    door.always("GET", f"/api/images/{IMAGE_ID}/thumbnails/", lambda _: error_reply(404, "not_ready"))
    door.always("GET", f"/api/images/{IMAGE_ID}", lambda _: json_reply(200, {"status": status, "data": data}))


def test_any_size_of_a_record_is_downloaded(imgpipe: Imgpipe, door: Door, tmp_path: Path) -> None:
    show(door, "success", {"tiny": "https://api/tiny", "x-large_2": "https://api/x-large_2"})
    imgpipe("download", IMAGE_ID, "--size", "x-large_2", cwd=tmp_path)
    assert (tmp_path / "lake-x-large_2.jpg").read_bytes() == b"x-large_2"


@pytest.mark.parametrize(
    ("status", "thumbnails", "there_are"),
    [
        ("success", {"small": "https://api/small", "medium": "https://api/medium"}, "small, medium, original"),
        ("processing", None, "original"),
    ],
)
def test_a_size_that_an_image_lacks_is_an_error_that_lists_those_it_has(
    imgpipe: Imgpipe, door: Door, tmp_path: Path, status: str, thumbnails: dict[str, str] | None, there_are: str
) -> None:
    show(door, status, thumbnails)
    folder = tmp_path / "new"
    run = imgpipe("download", IMAGE_ID, "--size", "large", "--output", folder, code=1)
    assert f"This image ({status}) has no thumbnail 'large'. It has: {there_are}." in run.err
    assert list(folder.rglob("*")) == []

    failed = imgpipe("download", IMAGE_ID, "--size", "large", "--output", folder, "--json", code=1).document
    assert failed["error"]["code"] in ("not_found", "not_ready")


@pytest.mark.parametrize("size", ["", "..", "../original", "a/b", "small?x", "-small", "a" * 65])
def test_what_cannot_be_a_size_is_wrong_usage(imgpipe: Imgpipe, door: Door, size: str) -> None:
    assert "is not the name of a size" in imgpipe("download", IMAGE_ID, f"--size={size}", code=2).err
    assert door.received == []
