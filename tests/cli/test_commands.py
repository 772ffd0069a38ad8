"""`list`, `show`, `stats`, `watch`, `download`, `delete` and `reprocess` against a running stack."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from tests.cli.command import Imgpipe
from tests.cli.proxy import Proxy, Reply, cut_response, error_reply, lose_response
from tests.pictures import jpeg
from tests.running_stack import ROOT, Stack, until

EVENTS_SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def image_id(stack: Stack) -> str:
    """A processed image."""
    image_id = stack.upload(jpeg(640, 480), "lake.jpg")
    stack.finished(image_id)
    return image_id


@pytest.fixture
def failed_id(stack: Stack) -> str:
    """An image that failed because its file is damaged."""
    image_id = stack.upload(jpeg(640, 480)[:3000], "damaged.jpg")
    stack.finished(image_id)
    return image_id


def test_list_prints_the_apis_list(imgpipe: Imgpipe, stack: Stack, image_id: str, failed_id: str) -> None:
    rows = imgpipe("list", "--limit", "2").rows
    assert rows[0] == ["image", "status", "name", "created", "dimensions", "size", "caption"]
    expected = {row[0]: row for row in rows[1:]}
    assert expected[image_id][1:3] == ["success", "lake.jpg"]
    assert expected[image_id][4] == "640×480"
    assert expected[failed_id][1] == "failed"
    assert [one["data"]["image_id"] for one in imgpipe("list", "--limit", "2", "--json").documents] == [
        row[0] for row in rows[1:]
    ]


def test_list_all_follows_the_cursors(imgpipe: Imgpipe, proxy: Proxy, stack: Stack) -> None:
    for number in range(3):
        stack.upload(jpeg(20 + number, 20))
    proxy.rewrite = lambda path: path.replace("limit=100", "limit=2")
    everything = [image["data"]["image_id"] for image in stack.images()]

    listed = [image["data"]["image_id"] for image in imgpipe("list", "--all", "--json").documents]
    some = imgpipe("list", "--limit", "3", "--json").documents

    assert listed == everything
    assert len(some) == 3
    pages = -(-len(everything) // 2)
    assert [("cursor=" in one.path, "limit=100" in one.path) for one in proxy.requests("GET", "/api/images")] == [
        (False, True),
        *[(True, True)] * (pages - 1),
        (False, False),
    ]


def test_list_can_begin_with_the_oldest_image(
    imgpipe: Imgpipe, stack: Stack, image_id: str, failed_id: str
) -> None:
    everything = [image["data"]["image_id"] for image in stack.images()]
    listed = imgpipe("list", "--oldest-first", "--limit", "1", "--json")
    assert [image["data"]["image_id"] for image in listed.documents] == everything[:-2:-1]
    assert "Only the oldest 1 image shown" in listed.err


def test_list_can_be_filtered(imgpipe: Imgpipe, image_id: str, failed_id: str) -> None:
    failed = imgpipe("list", "--all", "--status", "failed", "--json").documents
    assert {image["status"] for image in failed} == {"failed"}
    assert failed_id in {image["data"]["image_id"] for image in failed}
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert imgpipe("list", "--created-after", in_an_hour, "--json").documents == []
    assert imgpipe("list", "--created-before", "2020-01-01", "--json").documents == []
    recent = imgpipe("list", "--created-after", "2020-01-01", "--created-before", in_an_hour, "--json").documents
    assert image_id in {image["data"]["image_id"] for image in recent}


def test_show_prints_all_fields_of_an_image(imgpipe: Imgpipe, proxy: Proxy, stack: Stack, image_id: str) -> None:
    assert imgpipe("show", image_id, "--json").document == httpx.get(f"{proxy.url}/api/images/{image_id}").json()
    rows = {row[0]: row[1] for row in imgpipe("show", image_id).rows}
    assert rows["status"] == "success"
    assert rows["name"] == "lake.jpg"
    metadata = stack.image(image_id)["data"]["metadata"]
    assert rows["caption"] == metadata["caption"]
    assert rows["caption confidence"] == str(metadata["caption_confidence"])
    assert rows.get("caption flags", "") == ", ".join(metadata["caption_flags"])


def test_show_marks_a_decorative_picture(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    assert "alt text" not in {row[0] for row in imgpipe("show", image_id).rows}
    stack.api.patch(f"/api/images/{image_id}", json={"alt_text": ""})
    assert ["alt text", "(decorative)"] in imgpipe("show", image_id).rows


def test_stats_prints_the_apis_statistics(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    document = imgpipe("stats", "--json").document
    assert document == stack.api.get("/api/stats").json()
    assert ["total", f"{document['total']:,}"] in imgpipe("stats").rows


def test_watch_prints_each_status_until_all_are_finished(imgpipe: Imgpipe, stack: Stack, failed_id: str) -> None:
    fresh = stack.upload(jpeg(300, 300), "fresh.jpg")
    run = imgpipe("watch", fresh, failed_id, "--json", code=1)
    states = [(image["data"]["image_id"], image["status"]) for image in run.documents]
    assert (fresh, "success") in states
    assert (failed_id, "failed") in states
    assert len(states) == len(set(states))


def test_watch_without_ids_watches_all_images_in_progress(imgpipe: Imgpipe, stack: Stack) -> None:
    fresh = stack.upload(jpeg(300, 200), "fresh.jpg")
    imgpipe("watch", code=None)
    assert stack.image(fresh)["status"] == "success"
    assert "Nothing is in progress" in imgpipe("watch").err


def test_watch_events_prints_the_event_bus_format(imgpipe: Imgpipe, stack: Stack, proxy: Proxy) -> None:
    gone = stack.upload(jpeg(641, 480))
    stack.finished(gone)
    with imgpipe.start("watch", "--events") as watching:
        until(lambda: len(proxy.requests("GET", "/api/images")) >= 2, seconds=20)
        image_id = stack.upload(jpeg(642, 480))
        stack.api.delete(f"/api/images/{gone}")
        broken = stack.upload(jpeg(640, 480)[:3000])
        wanted = {(image_id, "success"), (broken, "failed"), (gone, "deleted")}
        found: dict[tuple[str, str], dict[str, Any]] = {}
        assert watching.stdout
        while not found.keys() >= wanted:
            event = json.loads(watching.stdout.readline())
            Draft202012Validator(EVENTS_SCHEMA).validate(event)
            found[event["image_id"], event["status"]] = event
        watching.send_signal(signal.SIGINT)
    expected = stack.image(image_id)["data"]
    processed = found[image_id, "success"]
    assert processed["thumbnails"].keys() == expected["thumbnails"].keys()
    assert processed["time"] == expected["processed_at"]
    caption_fields = {name: value for name, value in processed.items() if name.startswith("caption")}
    assert len(caption_fields) == 4
    assert caption_fields.items() <= expected["metadata"].items()


def test_watch_respects_retry_after(imgpipe: Imgpipe, proxy: Proxy, image_id: str) -> None:
    times: list[float] = []

    def pending_first(through):  # type: ignore[no-untyped-def]
        times.append(time.monotonic())
        reply = through()
        if len(times) == 1:
            reply.body = reply.body.replace(b'"status":"success"', b'"status":"pending"', 1)
            reply.headers["retry-after"] = "3"
        return reply

    proxy.always("GET", f"/api/images/{image_id}", pending_first)
    imgpipe("watch", image_id)
    assert len(times) == 2
    assert times[1] - times[0] >= 3


@pytest.mark.parametrize(("size", "pixels"), [("small", 150), ("medium", 300)])
def test_thumbnails_are_downloaded(imgpipe: Imgpipe, tmp_path: Path, image_id: str, size: str, pixels: int) -> None:
    imgpipe("download", image_id, "--size", size, "--output", f"{tmp_path}/folder/")
    with Image.open(tmp_path / "folder" / f"lake-{size}.jpg") as picture:
        assert max(picture.size) == pixels


def test_originals_are_downloaded_unchanged(imgpipe: Imgpipe, tmp_path: Path, image_id: str) -> None:
    document = imgpipe("download", image_id, "--output", tmp_path, "--json").document
    assert document["path"] == str(tmp_path / "lake.jpg")
    assert (tmp_path / "lake.jpg").read_bytes() == jpeg(640, 480)
    assert document["size"] == len(jpeg(640, 480))


def test_a_download_can_go_to_a_named_file_or_to_stdout(imgpipe: Imgpipe, tmp_path: Path, image_id: str) -> None:
    imgpipe("download", image_id, "--output", tmp_path / "mine.jpg")
    assert (tmp_path / "mine.jpg").read_bytes() == jpeg(640, 480)
    piped = subprocess.run(
        imgpipe.command("download", image_id, "-o", "-"), env=imgpipe.environment, capture_output=True, check=True
    )
    assert piped.stdout == jpeg(640, 480)


def test_nothing_is_overwritten_by_default(imgpipe: Imgpipe, tmp_path: Path, image_id: str) -> None:
    target = tmp_path / "lake.jpg"
    target.write_text("mine")
    refused = imgpipe("download", image_id, "--output", tmp_path, code=1)
    assert "--force" in refused.err
    assert target.read_text() == "mine"
    imgpipe("download", image_id, "--output", tmp_path, "--force")
    assert target.read_bytes() == jpeg(640, 480)


def test_downloads_of_images_with_the_same_name_do_not_collide(
    imgpipe: Imgpipe, stack: Stack, tmp_path: Path
) -> None:
    ids = [stack.upload(jpeg(50 + number, 50), name) for number, name in enumerate(("same.jpg", "SAME.jpg"))]
    imgpipe("download", *ids, "--output", tmp_path / "new")
    found = {hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "new").iterdir()}
    assert found == {hashlib.sha256(jpeg(50 + number, 50)).digest() for number in range(2)}


def test_a_failed_download_leaves_no_file(imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path, image_id: str) -> None:
    proxy.always("GET", f"/api/images/{image_id}/thumbnails", cut_response)
    run = imgpipe("download", image_id, "--size", "small", "--output", f"{tmp_path}/new/", "--retries", "1", code=3)
    assert "cannot be reached" in run.err
    assert list((tmp_path / "new").iterdir()) == []


def test_a_truncated_thumbnail_is_downloaded_again(
    imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path, image_id: str
) -> None:
    proxy.plan("GET", f"/api/images/{image_id}/thumbnails", cut_response)
    imgpipe("download", image_id, "--size", "small", "--output", f"{tmp_path}/new/")
    with Image.open(io.BytesIO((tmp_path / "new" / "lake-small.jpg").read_bytes())) as picture:
        picture.load()


def test_delete_requires_confirmation(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    refused = imgpipe("delete", image_id, code=2)
    assert "--yes" in refused.err
    assert stack.image(image_id)["status"] == "success"
    assert imgpipe("delete", "--yes", image_id, "--json").document == {
        "image_id": image_id,
        "state": "deleted",
        "error": None,
    }
    assert stack.api.get(f"/api/images/{image_id}").status_code == 404


def test_a_deletion_whose_response_was_lost_counts_as_deleted(
    imgpipe: Imgpipe, proxy: Proxy, image_id: str
) -> None:
    proxy.plan("DELETE", "/api/images", lose_response)
    imgpipe("delete", "--yes", image_id)


def test_an_error_for_one_image_does_not_stop_the_others(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    missing = "img_00000000000000000000000000"
    run = imgpipe("delete", "--yes", missing, image_id, "--json", code=1)
    by_id = {document["image_id"]: document for document in run.documents}
    assert by_id[missing]["error"]["code"] == "not_found"
    assert by_id[image_id]["state"] == "deleted"


def test_failed_images_are_processed_again(imgpipe: Imgpipe, proxy: Proxy, failed_id: str, image_id: str) -> None:
    run = imgpipe("reprocess", "--failed", "--json")
    begun = {document["image_id"] for document in run.documents}
    assert failed_id in begun
    assert image_id not in begun
    assert len(proxy.requests("POST")) == len(begun)


def test_reprocess_can_wait_for_the_image(imgpipe: Imgpipe, image_id: str) -> None:
    run = imgpipe("reprocess", image_id, "--wait", "--json")
    assert run.documents[-1]["status"] == "success"
    assert imgpipe("reprocess", code=2).err == imgpipe("reprocess", "--failed", image_id, code=2).err


@pytest.mark.parametrize(
    ("options", "pending"),
    [
        ([], {"metadata", "thumbnails", "caption"}),
        (["--stage", "thumbnails"], {"metadata", "thumbnails"}),
        (["--stage", "caption"], {"caption"}),
    ],
)
def test_one_stage_of_an_image_is_processed_again(
    imgpipe: Imgpipe, proxy: Proxy, image_id: str, options: list[str], pending: set[str]
) -> None:
    def recorded(through: Callable[[], Reply]) -> Reply:
        replies.append(through())
        return replies[-1]

    replies: list[Reply] = []
    proxy.plan("POST", "/api/images", recorded)
    imgpipe("reprocess", image_id, *options, "--wait")
    stages = json.loads(replies[0].body)["data"]["stages"]
    assert {name for name, state in stages.items() if state == "pending"} == pending


def test_an_unknown_stage_is_refused(imgpipe: Imgpipe, proxy: Proxy, image_id: str) -> None:
    assert "'caption'" in imgpipe("reprocess", image_id, "--stage", "captions", code=2).err
    assert proxy.received == []


def test_a_missing_image_is_reported(imgpipe: Imgpipe) -> None:
    missing = "img_00000000000000000000000000"
    assert "There is no such image" in imgpipe("show", missing, code=1).err
    assert imgpipe("watch", missing, "--json", code=1).document["status"] == "deleted"
    assert imgpipe("download", missing, "--json", code=1).document["error"]["code"] == "not_found"


def test_an_id_cannot_be_a_path(imgpipe: Imgpipe, proxy: Proxy) -> None:
    imgpipe("show", "../stats", code=2)
    assert proxy.received == []


def test_the_apis_error_message_is_printed(imgpipe: Imgpipe, proxy: Proxy) -> None:
    proxy.always("GET", "/api/stats", lambda through: error_reply(400, "odd"))
    assert imgpipe("stats", code=1).err == "imgpipe: It is odd.\n"
