"""`imgpipe upload` against a running stack, through a proxy at which errors can be planned."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.command import Imgpipe
from tests.cli.conftest import names_on
from tests.cli.proxy import Proxy, error_reply, json_reply, lose_response
from tests.pictures import jpeg, png
from tests.running_stack import Stack


def test_files_are_uploaded_with_one_line_each(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    run = imgpipe("upload", *photos)

    assert sorted(row[0] for row in run.rows) == sorted(map(str, photos))
    assert {row[2] for row in run.rows} == {"uploaded"}
    for path, image_id, _ in run.rows:
        assert stack.image(image_id)["data"]["original_name"] == Path(path).name
    assert "8 of 8 files uploaded" in run.err


def test_json_prints_one_line_for_each_file_and_nothing_else(
    imgpipe: Imgpipe, photos: list[Path], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.jpg"

    run = imgpipe("--json", "upload", *photos[:2], missing, code=1)

    assert {frozenset(document) for document in run.documents} == {
        frozenset({"path", "state", "image_id", "error"})
    }
    by_path = {document["path"]: document for document in run.documents}
    assert by_path[str(photos[0])]["state"] == "uploaded"
    assert by_path[str(missing)] == {
        "path": str(missing),
        "state": "failed",
        "image_id": None,
        "error": {"code": "file", "message": "no such file"},
    }


def test_recursive_searches_a_folder_for_pictures(imgpipe: Imgpipe, tmp_path: Path) -> None:
    inner = tmp_path / "folder" / "inner"
    inner.mkdir(parents=True)
    (inner / "without extension").write_bytes(jpeg())
    (inner / "notes.txt").write_text("no picture")
    (inner / ".hidden.jpg").write_bytes(jpeg())

    refused = imgpipe("upload", tmp_path / "folder", code=2)
    run = imgpipe("upload", "--recursive", tmp_path / "folder")

    assert "--recursive" in refused.err
    assert [row[0] for row in run.rows] == [str(inner / "without extension")]
    assert "1 in folders are not pictures" in run.err


def test_a_file_named_twice_is_uploaded_once(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    imgpipe("upload", photos[0], photos[0], "--recursive", photos[0].parent)
    assert names_on(stack, photos) == sorted(path.name for path in photos)


def test_the_same_command_again_uploads_nothing(imgpipe: Imgpipe, proxy: Proxy, photos: list[Path]) -> None:
    first = imgpipe("upload", *photos, "--json")
    sent = len(proxy.requests("POST"))
    photos[0].touch()  # a new modification time, but the same bytes

    again = imgpipe("upload", *photos, "--json")

    assert {document["state"] for document in again.documents} == {"skipped"}
    assert len(proxy.requests("POST")) == sent == 8
    ids = {document["path"]: document["image_id"] for document in first.documents}
    assert {document["path"]: document["image_id"] for document in again.documents} == ids


def test_a_changed_file_creates_another_image(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    imgpipe("upload", photos[0])
    photos[0].write_bytes(jpeg(99, 55))
    assert imgpipe("upload", photos[0], "--json").document["state"] == "uploaded"
    assert len(names_on(stack, photos)) == 2


def test_a_file_whose_image_was_deleted_is_uploaded_again(
    imgpipe: Imgpipe, stack: Stack, photos: list[Path]
) -> None:
    first = imgpipe("upload", photos[0], "--json").document["image_id"]
    stack.finished(first)
    imgpipe("delete", "--yes", first)

    second = imgpipe("upload", photos[0], "--json").document

    assert second["state"] == "uploaded"
    assert names_on(stack, photos) == [photos[0].name]


def test_again_ignores_the_journal(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    imgpipe("upload", photos[0])
    imgpipe("upload", photos[0], "--again")
    assert names_on(stack, photos) == [photos[0].name] * 2


def test_a_file_too_large_for_a_post_goes_straight_to_the_bucket(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path], tmp_path: Path
) -> None:
    large = tmp_path / f"{tmp_path.name}-large.png"
    large.write_bytes(png(200, 200) + bytes(20_000))
    proxy.always("GET", "/", _index_with_a_limit(10_000))

    run = imgpipe("upload", photos[0], large, "--json")

    assert [one.path for one in proxy.requests("POST", "/api/uploads")] == ["/api/uploads"]
    assert [one.size < 10_000 for one in proxy.requests("POST", "/api/images")] == [True]
    for document in run.documents:
        assert stack.finished(document["image_id"])["status"] == "success"


def _index_with_a_limit(limit: int):  # type: ignore[no-untyped-def]
    def act(through):  # type: ignore[no-untyped-def]
        reply = through()
        if reply.headers.get("content-type") == "application/json" and b'"endpoints"' in reply.body:
            return json_reply(200, {"name": "limited", "limits": {"max_post_bytes": limit}})
        return reply

    return act


@pytest.mark.parametrize(
    "refusal",
    [
        error_reply(413, "too_large"),
        json_reply(413, {"message": "Request Entity Too Large"}),  # API Gateway's response
    ],
)
def test_a_post_refused_as_too_large_becomes_a_presigned_upload(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path], refusal: object
) -> None:
    proxy.plan("POST", "/api/images", lambda through: refusal)  # type: ignore[arg-type,return-value]
    run = imgpipe("upload", "--jobs", "1", photos[0], "--json")
    assert stack.finished(run.document["image_id"])["status"] == "success"
    assert len(proxy.requests("POST", "/api/uploads")) == 1


def test_the_kind_of_request_can_be_chosen(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path]
) -> None:
    run = imgpipe("upload", "--presigned", photos[0], "--json")
    assert stack.finished(run.document["image_id"])["status"] == "success"
    imgpipe("upload", "--post", photos[1])
    assert len(proxy.requests("POST", "/api/uploads")) == len(proxy.requests("POST", "/api/images")) == 1


def test_the_post_option_never_uses_presigned_uploads(imgpipe: Imgpipe, proxy: Proxy, photos: list[Path]) -> None:
    proxy.always("POST", "/api/images", lambda through: error_reply(413, "too_large"))
    assert imgpipe("upload", "--post", photos[0], "--json", code=1).document["error"]["code"] == "too_large"
    assert not proxy.requests("POST", "/api/uploads")


@pytest.mark.parametrize("way", ["--post", "--presigned"])
def test_a_lost_response_creates_no_second_image(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path], way: str
) -> None:
    proxy.plan("POST", "/api/", lose_response, lose_response)
    run = imgpipe("upload", way, *photos[:3], "--json")
    for document in run.documents:
        assert stack.finished(document["image_id"])["status"] == "success"
    assert names_on(stack, photos) == sorted(path.name for path in photos[:3])
    assert len(proxy.requests("POST", "/api/")) == 5
    assert len({one.headers["idempotency-key"] for one in proxy.requests("POST", "/api/")}) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient_errors_are_retried(imgpipe: Imgpipe, proxy: Proxy, photos: list[Path], status: int) -> None:
    proxy.plan("POST", "/api/images", lambda through: error_reply(status, "for_now", Retry_After="0"))
    assert imgpipe("upload", photos[0], "--json").document["state"] == "uploaded"
    assert len(proxy.requests("POST")) == 2


def test_retry_after_is_respected(imgpipe: Imgpipe, proxy: Proxy, photos: list[Path]) -> None:
    times: list[float] = []

    def too_many(through):  # type: ignore[no-untyped-def]
        times.append(time.monotonic())
        return error_reply(429, "too_many_requests", Retry_After="2") if len(times) == 1 else through()

    proxy.always("POST", "/api/images", too_many)
    imgpipe("upload", photos[0])
    assert times[1] - times[0] >= 2


def test_a_refused_file_does_not_affect_the_others_and_can_be_sent_later(
    imgpipe: Imgpipe, stack: Stack, photos: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no picture at all")
    run = imgpipe("upload", text, photos[0], "--json", code=1)
    failed = next(document for document in run.documents if document["path"] == str(text))
    assert failed["error"]["code"] == "unsupported_format"
    assert names_on(stack, photos) == [photos[0].name]
    text.write_bytes(jpeg())
    assert imgpipe("upload", text, "--json").document["state"] == "uploaded"


def test_upload_wait_ends_with_captions(imgpipe: Imgpipe, photos: list[Path]) -> None:
    run = imgpipe("upload", "--wait", *photos[:3], "--json")
    uploads = [document for document in run.documents if "path" in document]
    last = {one["data"]["image_id"]: one for one in run.documents if "path" not in one}
    assert set(last) == {document["image_id"] for document in uploads}
    assert {image["status"] for image in last.values()} == {"success"}
    assert all(image["data"]["metadata"]["caption"] for image in last.values())


def test_upload_wait_for_a_damaged_picture_ends_with_an_error(imgpipe: Imgpipe, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(jpeg(400, 300)[:2000])
    run = imgpipe("upload", "--wait", damaged, "--json", code=1)
    assert run.documents[0]["state"] == "uploaded"
    assert run.documents[-1]["error"]["code"] == "corrupt_image"


def test_files_that_the_api_already_has_are_skipped_before_a_byte_is_sent(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, tmp_path: Path
) -> None:
    copy, fresh = tmp_path / "copy.jpg", tmp_path / "fresh.jpg"
    copy.write_bytes(jpeg(611, 40))
    fresh.write_bytes(jpeg(612, 40))
    earlier = stack.upload(copy.read_bytes(), "by somebody else.jpg")
    stack.finished(earlier)

    run = imgpipe("upload", "--skip-existing", copy, fresh, "--json")

    by_path = {document["path"]: document for document in run.documents}
    assert (by_path[str(copy)]["state"], by_path[str(copy)]["image_id"]) == ("skipped", earlier)
    assert by_path[str(fresh)]["state"] == "uploaded"
    assert len(proxy.requests("POST")) == 1
    imgpipe("upload", "--skip-existing", "--again", copy, code=2)


def test_a_failed_image_does_not_count_as_existing(imgpipe: Imgpipe, stack: Stack, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(jpeg(401, 300)[:2000])
    stack.finished(stack.upload(damaged.read_bytes()))
    assert imgpipe("upload", "--skip-existing", damaged, "--json").document["state"] == "uploaded"
