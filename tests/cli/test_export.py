"""`export` against a running stack: the three formats, interruptions, and sidecars beside downloads."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from imgpipe.images import Image
from imgpipe.tabular import csv_line, csv_titles, json_line
from tests.browser.many import many_images
from tests.cli.command import Imgpipe
from tests.cli.proxy import Proxy, error_reply, json_reply, lose_response
from tests.cli.terminals import run_in_terminal
from tests.pictures import jpeg
from tests.running_stack import Stack, until

COUNT = 23


@pytest.fixture(scope="module")
def seeded(stack: Stack) -> Iterator[None]:
    with many_images(stack, COUNT):
        yield


@pytest.fixture
def images(seeded: None, proxy: Proxy) -> list[dict[str, Any]]:
    """Finished images, and possibly others of earlier tests, as the API returns them."""
    found = httpx.get(f"{proxy.url}/api/images", params={"limit": 100}, timeout=60).json()
    assert found["next_cursor"] is None
    proxy.received.clear()
    return list(found["data"])


@pytest.fixture
def pages_of_five(proxy: Proxy, images: list[dict[str, Any]]) -> None:
    proxy.rewrite = lambda path: path.replace("limit=100", "limit=5")


@pytest.mark.usefixtures("pages_of_five")
def test_jsonl_is_what_the_api_returns(imgpipe: Imgpipe, images: list[dict[str, Any]], tmp_path: Path) -> None:
    run = imgpipe("export", "jsonl")
    assert (run.documents, run.err) == (images, "")

    file = tmp_path / "new folder" / "all.jsonl"
    written = imgpipe("export", "jsonl", "--output", file)
    assert (written.out, f"{len(images)} images exported" in written.err) == ("", True)
    assert file.read_text(encoding="utf-8") == run.out
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.usefixtures("pages_of_five")
def test_csv_has_a_row_for_each_image(imgpipe: Imgpipe, images: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    imgpipe("export", "csv", "--output", file)
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    assert [row["image_id"] for row in rows] == [image["data"]["image_id"] for image in images]
    assert {row["caption"] for row in rows} >= {"four fields of color"}
    assert file.read_bytes() == expected(images, "csv")


def test_a_selection_can_be_exported(imgpipe: Imgpipe, images: list[dict[str, Any]]) -> None:
    found = imgpipe("export", "jsonl", "--status", "failed").documents
    assert found == [image for image in images if image["status"] == "failed"]
    assert imgpipe("export", "jsonl", "--created-before", "2020-01-01").out == ""


def test_a_reader_that_stops_ends_the_export_quietly(imgpipe: Imgpipe, images: list[dict[str, Any]]) -> None:
    with imgpipe.start("export", "jsonl") as exporting:
        assert exporting.stdout and exporting.stderr
        exporting.stdout.readline()
        exporting.stdout.close()
        assert (exporting.stderr.read(), exporting.wait(timeout=60)) == (b"", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_behind_stdout_ends_the_export_with_a_message(
    imgpipe: Imgpipe, images: list[dict[str, Any]], kind: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            imgpipe.command("export", kind),
            env=imgpipe.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (run.returncode, run.stderr) == (
        1,
        "imgpipe: The output cannot be written: No space left on device\n",
    )


def test_progress_is_shown_on_a_terminal_only(
    imgpipe: Imgpipe, images: list[dict[str, Any]], tmp_path: Path
) -> None:
    output, code = run_in_terminal(
        imgpipe.command("export", "jsonl", "--output", tmp_path / "all.jsonl"), imgpipe.environment
    )
    assert (code, " 0 images" in output, f"{len(images)} images exported" in output) == (0, True, True)
    output, code = run_in_terminal(imgpipe.command("export", "jsonl"), imgpipe.environment)
    lines = [line for line in output.splitlines() if line]
    assert (code, len([json.loads(line) for line in lines])) == (0, len(images))


# Interruptions


def expected(images: list[dict[str, Any]], kind: str) -> bytes:
    found = [Image(image) for image in images]
    return b"".join(map(json_line, found)) if kind == "jsonl" else csv_titles() + b"".join(map(csv_line, found))


@pytest.mark.usefixtures("pages_of_five")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_export_continues(
    imgpipe: Imgpipe,
    proxy: Proxy,
    images: list[dict[str, Any]],
    tmp_path: Path,
    kind: str,
    end: signal.Signals,
) -> None:
    file, part = tmp_path / "all", tmp_path / "all.part"
    held = threading.Event()

    def hold(pass_through: Any) -> None:
        held.wait(timeout=60)

    proxy.plan("GET", "/api/images", *[lambda through: through()] * 3, hold)
    with imgpipe.start("export", kind, "--output", file) as exporting:
        until(lambda: len(proxy.requests("GET", "/api/images")) == 4, seconds=30)
        exporting.send_signal(end)
        _, error = exporting.communicate(timeout=30)
    held.set()
    assert exporting.returncode == (130 if end == signal.SIGINT else -end)
    if end == signal.SIGINT:
        assert b"15 images exported so far. Run the same command again to continue." in error
    assert not file.exists()
    # Killed in the middle of a write: this line does not count.
    with part.open("ab") as stream:
        stream.write(part.read_bytes()[:1000])
    before = len(proxy.requests("GET", "/api/images"))

    run = imgpipe("export", kind, "--output", file)

    assert "Continuing after 15 images" in run.err
    assert len(proxy.requests("GET", "/api/images")) - before == -(-len(images) // 5) - 3
    assert file.read_bytes() == expected(images, kind)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("all")] == ["all"]


def interrupted(imgpipe: Imgpipe, proxy: Proxy, file: Path, *options: str) -> None:
    """Export two pages of five images, then lose the API."""
    proxy.rewrite = lambda path: path.replace("limit=100", "limit=5")
    proxy.plan("GET", "/api/images", *[lambda through: through()] * 2, *[lambda _: error_reply(404, "odd")])
    imgpipe("export", "jsonl", "--output", file, *options, code=1)
    proxy.clear_plans()


def test_an_unfinished_export_of_something_else_is_not_continued(
    imgpipe: Imgpipe, proxy: Proxy, images: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    interrupted(imgpipe, proxy, file)
    for other in (["csv"], ["jsonl", "--status", "success"], ["jsonl", "--query", "field"]):
        assert "--restart discards it" in imgpipe("export", *other, "--output", file, code=2).err
    imgpipe("export", "csv", "--output", file, "--restart")
    assert file.read_bytes() == expected(images, "csv")


@pytest.mark.usefixtures("images")
def test_a_query_that_the_api_rejects_leaves_nothing_behind(imgpipe: Imgpipe, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    file = folder / "all.csv"
    assert imgpipe("export", "csv", "--query", '"field', code=1).out == ""
    imgpipe("export", "csv", "--query", '"field', "--output", file, code=1)
    assert list(folder.iterdir()) == []
    imgpipe("export", "csv", "--query", '"four fields"', "--output", file)


def test_a_position_that_the_api_no_longer_accepts_is_reported(
    imgpipe: Imgpipe, proxy: Proxy, images: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    interrupted(imgpipe, proxy, file)
    state = tmp_path / "all.jsonl.part.json"
    kept = json.loads(state.read_text())
    kept["position"]["cursor"] = "of-another-release"
    state.write_text(json.dumps(kept))
    assert "no longer accepts the position" in imgpipe("export", "jsonl", "--output", file, code=1).err
    imgpipe("export", "jsonl", "--output", file, "--restart")
    assert file.read_bytes() == expected(images, "jsonl")


def test_a_shortened_or_damaged_part_is_reported(
    imgpipe: Imgpipe, proxy: Proxy, images: list[dict[str, Any]], tmp_path: Path
) -> None:
    file, part, state = (tmp_path / name for name in ("all.jsonl", "all.jsonl.part", "all.jsonl.part.json"))
    interrupted(imgpipe, proxy, file)
    part.write_bytes(part.read_bytes()[:-1])
    assert "was changed by another program" in imgpipe("export", "jsonl", "--output", file, code=2).err
    state.write_text("[]")
    assert "cannot be read" in imgpipe("export", "jsonl", "--output", file, code=2).err
    part.unlink()
    state.unlink()
    imgpipe("export", "jsonl", "--output", file)


@pytest.mark.usefixtures("pages_of_five")
@pytest.mark.parametrize("options", [[], ["--restart"], ["--force"]])
def test_two_exports_never_write_the_same_file(
    imgpipe: Imgpipe, proxy: Proxy, images: list[dict[str, Any]], tmp_path: Path, options: list[str]
) -> None:
    file = tmp_path / "all.jsonl"
    held = threading.Event()

    def hold(pass_through: Any) -> None:
        held.wait(timeout=60)
        pass_through()

    proxy.plan("GET", "/api/images", lambda through: through(), hold)
    with imgpipe.start("export", "jsonl", "--output", file) as exporting:
        until(lambda: len(proxy.requests("GET", "/api/images")) == 2, seconds=30)
        second = imgpipe("export", "jsonl", "--output", file, *options, code=1)
        held.set()
        exporting.communicate(timeout=30)
    assert "is being written by another export" in second.err
    assert exporting.returncode == 0
    assert file.read_bytes() == expected(images, "jsonl")


def test_a_run_that_was_killed_at_its_very_end_is_complete(
    imgpipe: Imgpipe, images: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    imgpipe("export", "jsonl", "--output", file)
    before = file.read_bytes()
    part, state = tmp_path / "all.jsonl.part", tmp_path / "all.jsonl.part.json"
    os.link(file, part)
    position = {"cursor": None, "size": len(before), "images": len(images), "is_complete": True}
    state.write_text(json.dumps({"subject": {}, "position": position}))
    assert "already exists" in imgpipe("export", "jsonl", "--output", file, code=1).err
    assert (file.read_bytes(), part.exists()) == (before, False)
    imgpipe("export", "jsonl", "--output", file, "--force")
    assert not state.exists()


def test_temporary_failures_are_retried(imgpipe: Imgpipe, proxy: Proxy, images: list[dict[str, Any]]) -> None:
    proxy.plan("GET", "/api/images", lose_response, lambda _: error_reply(503, "unavailable", Retry_After="0"))
    assert len(imgpipe("export", "jsonl").documents) == len(images)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["xmp", "--output", "-"], 2, "need a folder"),
        (["jsonl", "--restart"], 2, "--restart needs a file"),
        (["csv", "--json"], 2, "not JSON"),
        (["jsonl", "--output", "."], 2, "is a folder"),
        (["jsonl", "--output", "taken"], 1, "already exists; use --force"),
        (["jsonl", "--output", "taken/all.jsonl"], 1, "taken"),
        (["json"], 2, "FORMAT"),
    ],
)
def test_wrong_usage_is_explained(
    imgpipe: Imgpipe, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    run = imgpipe("export", *arguments, code=code, cwd=tmp_path)
    assert message in run.err
    assert "Traceback" not in run.err
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("journal")] == ["taken"]


@pytest.mark.parametrize("kind", ["jsonl", "xmp"])
def test_a_full_disk_ends_the_export_with_a_message(
    imgpipe: Imgpipe, images: list[dict[str, Any]], tmp_path: Path, kind: str
) -> None:
    # Files of this process and its children have at most 1,000 bytes, or none.
    limit = {"jsonl": 1000, "xmp": 0}[kind]
    command = imgpipe.command("export", kind, "--output", tmp_path / "out")
    script = f"import resource, signal, sys, os; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); \
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); os.execv(sys.argv[1], sys.argv[1:])"
    run = subprocess.run(
        [command[0], "-c", script, *command], env=imgpipe.environment, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, "File too large" in run.stderr, "Traceback" in run.stderr) == (1, True, False)
    # The failed page does not count, so nothing is lost or half written.
    out = tmp_path / "out"
    assert [path.name for path in (out.iterdir() if out.is_dir() else [])] == []
    if kind == "jsonl":
        imgpipe("export", kind, "--output", out)
        assert out.read_bytes() == expected(images, kind)


# Sidecars


@pytest.fixture
def described(stack: Stack) -> Iterator[dict[str, str]]:
    """Three images, two with the same name, whose words are different. Returns titles by image id."""
    titles = {}
    for number, name in enumerate(("same name.jpg", "same name.jpg", "other.jpg")):
        image_id = stack.upload(jpeg(200 + number, 100), name)
        stack.finished(image_id)
        titles[image_id] = f"title {number} & <more>"
        words = {"title": titles[image_id], "alt_text": "Fläche", "tags": ["a, b", "日本"]}
        assert stack.api.patch(f"/api/images/{image_id}", json=words).status_code == 200
    yield titles
    for image_id in titles:
        stack.api.delete(f"/api/images/{image_id}")


def test_sidecars_lie_beside_the_downloads_of_their_images(
    imgpipe: Imgpipe, described: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for order in (list(described), list(described)[::-1]):
        shutil.rmtree(folder, ignore_errors=True)
        names = {
            one["image_id"]: Path(one["path"]).name
            for one in imgpipe("download", *order, "--jobs", "1", "--output", folder, "--json").documents
        }
        run = imgpipe("export", "xmp", "--output", folder, "--json")
        paths = {one["image_id"]: one["path"] for one in run.documents if one["image_id"] in described}
        assert paths == {image_id: str(folder / f"{name}.xmp") for image_id, name in names.items()}
        for image_id, title in described.items():
            assert title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in Path(
                paths[image_id]
            ).read_text(encoding="utf-8")


def test_a_later_download_takes_its_sidecar_with_it(
    imgpipe: Imgpipe, described: dict[str, str], tmp_path: Path
) -> None:
    # Without the files, the newest image gets the plain name. The oldest is downloaded first here.
    imgpipe("export", "xmp", "--output", tmp_path / "photos")
    imgpipe("download", *described, "--jobs", "1", "--output", tmp_path / "photos")
    oldest = next(iter(described))
    run = imgpipe("export", "xmp", "--output", tmp_path / "photos", "--json")
    paths = {one["image_id"]: Path(one["path"]).name for one in run.documents if one["image_id"] in described}
    assert paths[oldest] == "same name.jpg.xmp"


def test_a_second_export_of_sidecars_changes_only_what_has_changed(
    imgpipe: Imgpipe, stack: Stack, described: dict[str, str], tmp_path: Path
) -> None:
    imgpipe("export", "xmp", "--output", tmp_path / "photos")
    changed = next(iter(described))
    stack.api.patch(f"/api/images/{changed}", json={"title": "a new title"})
    run = imgpipe("export", "xmp", "--output", tmp_path / "photos", "--json")
    states = {one["image_id"]: one["state"] for one in run.documents if one["image_id"] in described}
    assert states == dict.fromkeys(described, "unchanged") | {changed: "written"}
    assert "1 written" in run.err


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed (libimage-exiftool-perl)")
def test_exiftool_reads_the_words_and_finds_nothing_wrong(
    imgpipe: Imgpipe, stack: Stack, described: dict[str, str], tmp_path: Path
) -> None:
    image_id, title = next(iter(described.items()))
    name = stack.image(image_id)["data"]["original_name"]
    imgpipe("download", image_id, "--output", f"{tmp_path}/")
    imgpipe("export", "xmp", "--output", tmp_path)
    sidecar = tmp_path / f"{name}.xmp"
    command = ["exiftool", "-json", "-struct", "-G1", "-validate", "-all", "-a"]
    (found,) = json.loads(subprocess.run([*command, sidecar], capture_output=True, check=True).stdout)
    assert found["ExifTool:Validate"] == "OK"
    assert {key: value for key, value in found.items() if key.startswith("XMP-")} == {
        "XMP-x:XMPToolkit": "imgpipe",
        "XMP-dc:Identifier": image_id,
        "XMP-dc:Title": title,
        "XMP-dc:Description": stack.image(image_id)["data"]["metadata"]["caption"],
        "XMP-dc:Subject": ["a, b", "日本"],
        "XMP-iptcCore:AltTextAccessibility": "Fläche",
    }
    # The command of docs/cli.md that writes the words into the pictures.
    copy = ["exiftool", "-q", "-overwrite_original", "-tagsfromfile", "%d%f.%e.xmp", "-xmp:all", "-ext", "jpg", "."]
    subprocess.run(copy, cwd=tmp_path, check=True)
    command = ["exiftool", "-json", "-XMP-dc:Title", "-XMP-iptcCore:AltTextAccessibility", tmp_path / name]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (found["Title"], found["AltTextAccessibility"]) == (title, "Fläche")


# A list that changes its mind


def test_pages_may_be_empty_before_the_last(imgpipe: Imgpipe, proxy: Proxy, images: list[dict[str, Any]]) -> None:
    empty = {"data": [], "next_cursor": "more", "warnings": ["Some words are too common."]}
    last = {"data": images[:1], "next_cursor": None, "warnings": ["Some words are too common."]}
    proxy.plan("GET", "/api/images", lambda _: json_reply(200, empty), lambda _: json_reply(200, last))
    run = imgpipe("export", "jsonl", "--query", "the lake")
    assert [image["data"]["image_id"] for image in run.documents] == [images[0]["data"]["image_id"]]
    assert run.err == "imgpipe: Some words are too common.\n"
