"""A hostile API cannot make imgpipe write outside the given folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from imgpipe.downloads import keep, safe_name
from imgpipe.errors import FileError, Unreachable
from imgpipe.images import Image, checked_id
from tests.cli.command import IMAGE_ID, Imgpipe
from tests.cli.proxy import Proxy, Reply, json_reply, run_proxy

OTHER_ID = IMAGE_ID[:-1] + "h"
PAYLOAD = b"ssh-ed25519 AAAA the attacker's"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """An API whose responses a test plans, and an original to download."""
    with run_proxy(None) as proxy:
        proxy.always("GET", "/bytes", lambda _: Reply(200, {"Content-Type": "image/jpeg"}, PAYLOAD))
        yield proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for downloads. The attack targets `escaped`, three folders up."""
    (tmp_path / "escaped").mkdir()
    (tmp_path / "escaped" / "authorized_keys").write_text("mine")
    folder = tmp_path / "out" / "deep" / "in"
    folder.mkdir(parents=True)
    return folder


def respond_with(proxy: Proxy, image_id: object, name: str = "...") -> None:
    """Make every response about an image with this id and this name, whatever was requested."""
    image = {"status": "success", "data": {"image_id": image_id, "original_name": name}, "error": None}
    upload = {"method": "PUT", "url": f"{proxy.url}/bytes", "headers": {}}
    for wanted in (IMAGE_ID, OTHER_ID):
        proxy.always(
            "GET", f"/api/images/{wanted}/original", lambda _: Reply(307, {"Location": f"{proxy.url}/bytes"})
        )
        proxy.always("GET", f"/api/images/{wanted}/thumbnails", lambda _: Reply(200, {}, PAYLOAD))
        proxy.always("GET", f"/api/images/{wanted}", lambda _: json_reply(200, image))
        proxy.always("POST", f"/api/images/{wanted}/reprocess", lambda _: json_reply(202, image))
    proxy.always("GET", "/api/images", lambda _: json_reply(200, {"data": [image], "next_cursor": None}))
    proxy.always("POST", "/api/images", lambda _: json_reply(202, {"image_id": image_id}))
    proxy.always("POST", "/api/uploads", lambda _: json_reply(201, {"image_id": image_id, "upload": upload}))
    proxy.always("PUT", "/bytes", lambda _: Reply(200))
    proxy.always("GET", "/", lambda _: json_reply(200, {"limits": {"max_post_bytes": 1000}}))


def files_below(folder: Path) -> dict[Path, bytes]:
    """Return all files except the journal's, with their contents."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("journal.sqlite3")
    }


@pytest.mark.parametrize("escape", ["../../../escaped/authorized_keys", "../../../escaped/new"])
@pytest.mark.parametrize(
    "command",
    [
        ("download", IMAGE_ID),
        ("download", IMAGE_ID, "--force"),
        ("download", IMAGE_ID, "--output", "./", "--force", "--size", "small"),
        ("download", IMAGE_ID, OTHER_ID, "--output", ".", "--force"),
        ("download", IMAGE_ID, "--output", "copy.jpg", "--force"),
        ("download", IMAGE_ID, "--output", "-"),
    ],
    ids=" ".join,
)
def test_a_hostile_id_leads_no_download_out_of_its_folder(
    imgpipe: Imgpipe, proxy: Proxy, folder: Path, tmp_path: Path, command: tuple[str, ...], escape: str
) -> None:
    respond_with(proxy, escape)
    before = files_below(tmp_path)

    run = imgpipe(*command, code=None, cwd=folder)

    assert files_below(tmp_path) == before
    assert (run.code, run.out) == (3, "")
    assert f"invalid image id, '{escape}'" in run.err


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("list", "--json"),
        ("show", IMAGE_ID),
        ("watch",),
        ("reprocess", "--failed"),
        ("upload", "../../../small.jpg"),
        ("upload", "--presigned", "../../../small.jpg"),
    ],
    ids=" ".join,
)
def test_no_command_accepts_a_hostile_id(
    imgpipe: Imgpipe, proxy: Proxy, folder: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "small.jpg").write_bytes(b"\xff\xd8\xff")
    respond_with(proxy, "../../../escaped/new")
    before = files_below(tmp_path)

    run = imgpipe(*command, code=None, cwd=folder)

    assert files_below(tmp_path) == before
    assert (run.code, run.out) == (3, "")
    assert "invalid image id" in run.err


def test_a_response_about_another_image_is_refused(imgpipe: Imgpipe, proxy: Proxy, folder: Path) -> None:
    respond_with(proxy, OTHER_ID, "lake.jpg")
    assert "the request was about" in imgpipe("download", IMAGE_ID, code=3, cwd=folder).err
    assert files_below(folder) == {}


@pytest.mark.parametrize(
    "image_id",
    ["", "..", "img_1", "/etc/passwd", IMAGE_ID.upper(), f"{IMAGE_ID}\n", f"{IMAGE_ID}/..", f"../{IMAGE_ID}",
     IMAGE_ID.replace("0", "o"), None, 1, [IMAGE_ID], {"a": 1}],
)  # fmt: skip
def test_only_ids_in_the_pipelines_format_are_valid(image_id: object) -> None:
    with pytest.raises(Unreachable, match="invalid image id"):
        checked_id(image_id)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/b", "a/", "x\0"])
@pytest.mark.parametrize("force", [False, True])
def test_a_download_is_never_stored_under_a_name_that_leads_out_of_the_folder(
    folder: Path, tmp_path: Path, name: str, force: bool
) -> None:
    async def fetch(receive) -> None:  # type: ignore[no-untyped-def]
        await receive(httpx.Response(200, content=PAYLOAD))

    before = files_below(tmp_path)
    with pytest.raises(FileError, match="cannot be a file's name"):
        asyncio.run(keep(fetch, folder, lambda _: name, force=force))
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_symbolic_link_is_never_followed(
    imgpipe: Imgpipe, proxy: Proxy, folder: Path, tmp_path: Path, is_dangling: bool
) -> None:
    respond_with(proxy, IMAGE_ID, "lake.jpg")
    victim = tmp_path / "escaped" / ("new" if is_dangling else "authorized_keys")
    link = folder / "lake.jpg"
    link.symlink_to(victim)
    before = files_below(tmp_path / "escaped")

    assert "--force" in imgpipe("download", IMAGE_ID, code=1, cwd=folder).err
    assert link.is_symlink()
    imgpipe("download", IMAGE_ID, "--force", cwd=folder)

    assert not link.is_symlink()
    assert link.read_bytes() == PAYLOAD
    assert files_below(tmp_path / "escaped") == before


@pytest.mark.parametrize(
    "name", ["con", "CON.txt", "con .tar.gz", "nul.tar.gz", "COM0", "com¹.jpg", "LPT³", "CONIN$", "conout$.png"]
)
def test_a_windows_device_name_is_prefixed_with_the_id(name: str) -> None:
    image = Image({"data": {"image_id": IMAGE_ID, "original_name": name}})
    assert safe_name(image) == f"{IMAGE_ID}-{name}"


def test_names_in_one_download_never_collide(imgpipe: Imgpipe, proxy: Proxy, folder: Path) -> None:
    """The second image has the name that the third would get to distinguish it from the first."""
    names = {IMAGE_ID: "lake.jpg", IMAGE_ID[:-1] + "j": f"lake-{OTHER_ID}.jpg", OTHER_ID: "lake.jpg"}
    for image_id, name in names.items():
        image = {"status": "success", "data": {"image_id": image_id, "original_name": name}, "error": None}
        original = Reply(307, {"Location": f"{proxy.url}/bytes"})
        proxy.always("GET", f"/api/images/{image_id}/original", lambda _, original=original: original)
        proxy.always("GET", f"/api/images/{image_id}", lambda _, image=image: json_reply(200, image))

    imgpipe("download", *names, "--output", ".", "--force", "--jobs", "1", cwd=folder)

    assert len(files_below(folder)) == 3
