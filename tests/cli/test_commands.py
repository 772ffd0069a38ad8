"""`list`, `show`, `stats`, `watch`, `download`, `delete`, `reprocess`, against a running stack."""

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
from tests.cli.door import Door, Reply, cut_response, error_reply, lose_response
from tests.pictures import jpeg
from tests.running_stack import ROOT, Stack, until

EVENTS_SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def image_id(stack: Stack) -> str:
    """A picture that has been processed."""
    image_id = stack.upload(jpeg(640, 480), "lake.jpg")
    stack.finished(image_id)
    return image_id


@pytest.fixture
def failed_id(stack: Stack) -> str:
    """A picture that is damaged."""
    image_id = stack.upload(jpeg(640, 480)[:3000], "damaged.jpg")
    stack.finished(image_id)
    return image_id


def test_a_list_is_as_the_api_has_it(imgpipe: Imgpipe, stack: Stack, image_id: str, failed_id: str) -> None:
    rows = imgpipe("list", "--limit", "2").rows
    assert rows[0] == ["image", "status", "name", "created", "dimensions", "size", "caption"]
    shown = {row[0]: row for row in rows[1:]}
    assert shown[image_id][1:3] == ["success", "lake.jpg"]
    assert shown[image_id][4] == "640×480"
    assert shown[failed_id][1] == "failed"
    assert [one["data"]["image_id"] for one in imgpipe("list", "--limit", "2", "--json").documents] == [
        row[0] for row in rows[1:]
    ]


def test_all_images_are_listed_through_cursors(imgpipe: Imgpipe, door: Door, stack: Stack) -> None:
    for number in range(3):
        stack.upload(jpeg(20 + number, 20))
    door.rewrite = lambda path: path.replace("limit=100", "limit=2")
    everything = [image["data"]["image_id"] for image in stack.images()]

    listed = [image["data"]["image_id"] for image in imgpipe("list", "--all", "--json").documents]
    some = imgpipe("list", "--limit", "3", "--json").documents

    assert listed == everything
    assert len(some) == 3
    pages = -(-len(everything) // 2)
    assert [("cursor=" in one.path, "limit=100" in one.path) for one in door.requests("GET", "/api/images")] == [
        (False, True),
        *[(True, True)] * (pages - 1),
        (False, False),
    ]


def test_a_list_can_be_narrowed(imgpipe: Imgpipe, image_id: str, failed_id: str) -> None:
    failed = imgpipe("list", "--all", "--status", "failed", "--json").documents
    assert {image["status"] for image in failed} == {"failed"}
    assert failed_id in {image["data"]["image_id"] for image in failed}
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert imgpipe("list", "--created-after", in_an_hour, "--json").documents == []
    assert imgpipe("list", "--created-before", "2020-01-01", "--json").documents == []
    recent = imgpipe("list", "--created-after", "2020-01-01", "--created-before", in_an_hour, "--json").documents
    assert image_id in {image["data"]["image_id"] for image in recent}


def test_one_image_is_shown_with_all_that_is_known(
    imgpipe: Imgpipe, door: Door, stack: Stack, image_id: str
) -> None:
    assert imgpipe("show", image_id, "--json").document == httpx.get(f"{door.url}/api/images/{image_id}").json()
    rows = {row[0]: row[1] for row in imgpipe("show", image_id).rows}
    assert rows["status"] == "success"
    assert rows["name"] == "lake.jpg"
    assert rows["caption"] == stack.image(image_id)["data"]["metadata"]["caption"]


def test_a_decorative_picture_is_shown_as_such(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    assert "alt text" not in {row[0] for row in imgpipe("show", image_id).rows}
    stack.api.patch(f"/api/images/{image_id}", json={"alt_text": ""})
    assert ["alt text", "(decorative)"] in imgpipe("show", image_id).rows


def test_statistics_are_those_of_the_api(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
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


def test_watching_without_ids_watches_what_is_in_progress(imgpipe: Imgpipe, stack: Stack) -> None:
    fresh = stack.upload(jpeg(300, 200), "fresh.jpg")
    imgpipe("watch", code=None)
    assert stack.image(fresh)["status"] == "success"
    assert "Nothing is in progress" in imgpipe("watch").err


def test_events_are_followed_in_the_format_of_the_event_bus(imgpipe: Imgpipe, stack: Stack, door: Door) -> None:
    gone = stack.upload(jpeg(641, 480))
    stack.finished(gone)
    with imgpipe.start("watch", "--events") as watching:
        until(lambda: len(door.requests("GET", "/api/images")) >= 2, seconds=20)
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
    shown = stack.image(image_id)["data"]
    processed = found[image_id, "success"]
    assert processed["thumbnails"].keys() == shown["thumbnails"].keys()
    assert (processed["caption"], processed["time"]) == (shown["metadata"]["caption"], shown["processed_at"])


def test_watching_heeds_when_to_ask_again(imgpipe: Imgpipe, door: Door, image_id: str) -> None:
    came: list[float] = []

    def pending_first(through):  # type: ignore[no-untyped-def]
        came.append(time.monotonic())
        reply = through()
        if len(came) == 1:
            reply.body = reply.body.replace(b'"status":"success"', b'"status":"pending"', 1)
            reply.headers["retry-after"] = "3"
        return reply

    door.always("GET", f"/api/images/{image_id}", pending_first)
    imgpipe("watch", image_id)
    assert len(came) == 2
    assert came[1] - came[0] >= 3


@pytest.mark.parametrize(("size", "pixels"), [("small", 150), ("medium", 300)])
def test_thumbnails_are_downloaded(imgpipe: Imgpipe, tmp_path: Path, image_id: str, size: str, pixels: int) -> None:
    imgpipe("download", image_id, "--size", size, "--output", f"{tmp_path}/folder/")
    with Image.open(tmp_path / "folder" / f"lake-{size}.jpg") as picture:
        assert max(picture.size) == pixels


def test_originals_are_downloaded_as_they_were_uploaded(imgpipe: Imgpipe, tmp_path: Path, image_id: str) -> None:
    document = imgpipe("download", image_id, "--output", tmp_path, "--json").document
    assert document["path"] == str(tmp_path / "lake.jpg")
    assert (tmp_path / "lake.jpg").read_bytes() == jpeg(640, 480)
    assert document["size"] == len(jpeg(640, 480))


def test_an_image_can_go_to_a_named_file_or_to_stdout(imgpipe: Imgpipe, tmp_path: Path, image_id: str) -> None:
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


def test_images_with_the_same_name_do_not_meet(imgpipe: Imgpipe, stack: Stack, tmp_path: Path) -> None:
    ids = [stack.upload(jpeg(50 + number, 50), name) for number, name in enumerate(("same.jpg", "SAME.jpg"))]
    imgpipe("download", *ids, "--output", tmp_path / "new")
    found = {hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "new").iterdir()}
    assert found == {hashlib.sha256(jpeg(50 + number, 50)).digest() for number in range(2)}


def test_a_download_that_fails_leaves_nothing_behind(
    imgpipe: Imgpipe, door: Door, tmp_path: Path, image_id: str
) -> None:
    door.always("GET", f"/api/images/{image_id}/thumbnails", cut_response)
    run = imgpipe("download", image_id, "--size", "small", "--output", f"{tmp_path}/new/", "--retries", "1", code=3)
    assert "cannot be reached" in run.err
    assert list((tmp_path / "new").iterdir()) == []


def test_a_thumbnail_that_breaks_off_is_fetched_again(
    imgpipe: Imgpipe, door: Door, tmp_path: Path, image_id: str
) -> None:
    door.plan("GET", f"/api/images/{image_id}/thumbnails", cut_response)
    imgpipe("download", image_id, "--size", "small", "--output", f"{tmp_path}/new/")
    with Image.open(io.BytesIO((tmp_path / "new" / "lake-small.jpg").read_bytes())) as picture:
        picture.load()


def test_deleting_asks_first(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    refused = imgpipe("delete", image_id, code=2)
    assert "--yes" in refused.err
    assert stack.image(image_id)["status"] == "success"
    assert imgpipe("delete", "--yes", image_id, "--json").document == {
        "image_id": image_id,
        "state": "deleted",
        "error": None,
    }
    assert stack.api.get(f"/api/images/{image_id}").status_code == 404


def test_a_deletion_whose_response_was_lost_counts_as_deleted(imgpipe: Imgpipe, door: Door, image_id: str) -> None:
    door.plan("DELETE", "/api/images", lose_response)
    imgpipe("delete", "--yes", image_id)


def test_what_one_image_lacks_does_not_stop_the_others(imgpipe: Imgpipe, stack: Stack, image_id: str) -> None:
    missing = "img_00000000000000000000000000"
    run = imgpipe("delete", "--yes", missing, image_id, "--json", code=1)
    by_id = {document["image_id"]: document for document in run.documents}
    assert by_id[missing]["error"]["code"] == "not_found"
    assert by_id[image_id]["state"] == "deleted"


def test_failed_images_are_processed_again(imgpipe: Imgpipe, door: Door, failed_id: str, image_id: str) -> None:
    run = imgpipe("reprocess", "--failed", "--json")
    begun = {document["image_id"] for document in run.documents}
    assert failed_id in begun
    assert image_id not in begun
    assert len(door.requests("POST")) == len(begun)


def test_one_image_is_processed_again_and_waited_for(imgpipe: Imgpipe, image_id: str) -> None:
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
    imgpipe: Imgpipe, door: Door, image_id: str, options: list[str], pending: set[str]
) -> None:
    def noted(through: Callable[[], Reply]) -> Reply:
        replies.append(through())
        return replies[-1]

    replies: list[Reply] = []
    door.plan("POST", "/api/images", noted)
    imgpipe("reprocess", image_id, *options, "--wait")
    stages = json.loads(replies[0].body)["data"]["stages"]
    assert {name for name, state in stages.items() if state == "pending"} == pending


def test_a_stage_that_there_is_not_is_refused(imgpipe: Imgpipe, door: Door, image_id: str) -> None:
    assert "'caption'" in imgpipe("reprocess", image_id, "--stage", "captions", code=2).err
    assert door.received == []


def test_a_missing_image_is_reported(imgpipe: Imgpipe) -> None:
    missing = "img_00000000000000000000000000"
    assert "There is no such image" in imgpipe("show", missing, code=1).err
    assert imgpipe("watch", missing, "--json", code=1).document["status"] == "deleted"
    assert imgpipe("download", missing, "--json", code=1).document["error"]["code"] == "not_found"


def test_an_id_is_no_path(imgpipe: Imgpipe, door: Door) -> None:
    imgpipe("show", "../stats", code=2)
    assert door.received == []


def test_the_apis_error_message_is_shown(imgpipe: Imgpipe, door: Door) -> None:
    door.always("GET", "/api/stats", lambda through: error_reply(400, "odd"))
    assert imgpipe("stats", code=1).err == "imgpipe: It is odd.\n"
