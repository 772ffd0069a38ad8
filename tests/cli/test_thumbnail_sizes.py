"""`download --size` accepts all sizes that the API has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import IMAGE_ID, Imgpipe
from tests.cli.proxy import Proxy, Reply, error_reply, json_reply, run_proxy


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with run_proxy(None) as proxy:
        yield proxy


def show(proxy: Proxy, status: str, thumbnails: dict[str, str] | None) -> None:
    """Let the API have only this image. It returns the thumbnails in the record, and 404 for every other size."""
    data = {"image_id": IMAGE_ID, "original_name": "lake.heic", "thumbnails": thumbnails}
    for size in thumbnails or {}:
        thumbnail = Reply(200, {"Content-Type": "image/jpeg"}, size.encode())
        proxy.always("GET", f"/api/images/{IMAGE_ID}/thumbnails/{size}", lambda _, thumbnail=thumbnail: thumbnail)
    proxy.always("GET", f"/api/images/{IMAGE_ID}/thumbnails/", lambda _: error_reply(404, "not_ready"))
    proxy.always("GET", f"/api/images/{IMAGE_ID}", lambda _: json_reply(200, {"status": status, "data": data}))


def test_any_size_of_a_record_is_downloaded(imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path) -> None:
    show(proxy, "success", {"tiny": "https://api/tiny", "x-large_2": "https://api/x-large_2"})
    imgpipe("download", IMAGE_ID, "--size", "x-large_2", cwd=tmp_path)
    assert (tmp_path / "lake-x-large_2.jpg").read_bytes() == b"x-large_2"


@pytest.mark.parametrize(
    ("status", "thumbnails", "there_are"),
    [
        ("success", {"small": "https://api/small", "medium": "https://api/medium"}, "small, medium, original"),
        ("processing", None, "original"),
    ],
)
def test_a_missing_size_is_an_error_that_lists_the_existing_sizes(
    imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path, status: str, thumbnails: dict[str, str] | None, there_are: str
) -> None:
    show(proxy, status, thumbnails)
    folder = tmp_path / "new"
    run = imgpipe("download", IMAGE_ID, "--size", "large", "--output", folder, code=1)
    assert f"This image ({status}) has no thumbnail 'large'. It has: {there_are}." in run.err
    assert list(folder.rglob("*")) == []

    failed = imgpipe("download", IMAGE_ID, "--size", "large", "--output", folder, "--json", code=1).document
    assert failed["error"]["code"] in ("not_found", "not_ready")


@pytest.mark.parametrize("size", ["", "..", "../original", "a/b", "small?x", "-small", "a" * 65])
def test_an_invalid_size_is_wrong_usage(imgpipe: Imgpipe, proxy: Proxy, size: str) -> None:
    assert "is not the name of a size" in imgpipe("download", IMAGE_ID, f"--size={size}", code=2).err
    assert proxy.received == []
