"""A user's actions on a running stack."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image

from tests import pictures
from tests.running_stack import Stack, until


def thumbnail(stack: Stack, image_id: str, size: str) -> Image.Image:
    response = stack.api.get(f"/api/images/{image_id}/thumbnails/{size}")
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_posted_photo_gets_upright_thumbnails_metadata_and_a_caption(stack: Stack, orientation: int) -> None:
    body = pictures.jpeg(900, 600, orientation=orientation)

    image = stack.finished(stack.upload(body, "my photo.jpg"))

    assert image["status"] == "success", image
    data = image["data"]
    assert data["original_name"] == "my photo.jpg"
    assert data["stages"] == {"metadata": "done", "thumbnails": "done", "caption": "done"}
    assert (data["metadata"]["width"], data["metadata"]["height"]) == (900, 600)
    assert data["metadata"]["caption"]
    assert data["metadata"]["caption_model"].startswith("demo@")
    for size, expected in (("small", (150, 100)), ("medium", (300, 200))):
        picture = thumbnail(stack, data["image_id"], size)
        assert picture.size == expected
        assert pictures.same_scene(picture)
        assert httpx.get(data["thumbnails"][size], trust_env=False).status_code == 200
    stack.assert_statistics_are_exact()


def test_the_original_is_returned_unchanged(stack: Stack) -> None:
    body = pictures.png(200, 100)
    image_id = stack.upload(body, "bild é.png")

    response = stack.api.get(f"/api/images/{image_id}/original")
    assert response.status_code == 307
    original = httpx.get(response.headers["location"], trust_env=False)

    assert original.content == body
    assert original.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "key",
    [
        "some folder/my photo+1 é.jpg",
        "percent %20 and 100%.jpg",
        "🦊/🦊",
        "no extension",
        "uploads/not an id/dropped.jpg",
    ],
)
def test_a_file_dropped_under_any_key_becomes_an_image_and_its_removal_deletes_everything(
    stack: Stack, key: str
) -> None:
    name = key.rpartition("/")[2]
    stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=pictures.jpeg(400, 300))

    image = stack.dropped(name)
    assert image["status"] == "success", image
    assert image["data"]["source"] == "bucket"
    image_id = image["data"]["image_id"]

    stack.s3.delete_object(Bucket=stack.bucket, Key=key)
    until(lambda: stack.api.get(f"/api/images/{image_id}").status_code == 404, seconds=30)
    until(lambda: not [k for k in stack.thumbnail_keys() if k.startswith(image_id)], seconds=30)
    stack.assert_statistics_are_exact()


def test_an_overwritten_drop_shows_the_new_picture(stack: Stack) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="changing.jpg", Body=pictures.jpeg(400, 300))
    first = stack.dropped("changing.jpg")

    stack.s3.put_object(Bucket=stack.bucket, Key="changing.jpg", Body=pictures.png(80, 160))
    image_id = first["data"]["image_id"]
    image = until(
        lambda: (i := stack.image(image_id))["status"] == "success" and i["data"]["metadata"]["width"] == 80 and i,
        seconds=30,
    )

    assert image["data"]["metadata"]["format"] == "png"
    assert thumbnail(stack, image_id, "small").size == (75, 150)
    until(lambda: len([k for k in stack.thumbnail_keys() if k.startswith(image_id)]) == 3, seconds=10)


def test_invalid_files_fail_and_the_next_one_is_processed(stack: Stack) -> None:
    bad = {
        "text.jpg": (b"this is no picture", "unsupported_format"),
        "cut.jpg": (pictures.cut(pictures.jpeg(800, 600, quality=95)), "corrupt_image"),
        "empty.jpg": (b"", "corrupt_image"),
    }
    for name, (body, _) in bad.items():
        stack.s3.put_object(Bucket=stack.bucket, Key=name, Body=body)
    stack.s3.put_object(Bucket=stack.bucket, Key="a folder/", Body=b"")
    stack.s3.put_object(Bucket=stack.bucket, Key="good.jpg", Body=pictures.jpeg())

    assert stack.dropped("good.jpg")["status"] == "success"
    for name, (_, code) in bad.items():
        image = stack.dropped(name)
        assert (image["status"], image["error"]["code"]) == ("failed", code)
        response = stack.api.get(f"/api/images/{image['data']['image_id']}/thumbnails/small")
        assert (response.status_code, response.json()["error"]["code"]) == (409, "processing_failed")
    assert "a folder" not in {i["data"]["original_name"] for i in stack.images()}
    stack.assert_statistics_are_exact()


def test_a_presigned_upload_is_listed_after_its_file_has_arrived(stack: Stack) -> None:
    body = pictures.jpeg(640, 480)
    wanted = {"filename": "große Datei.jpg", "content_type": "image/jpeg", "size": len(body)}
    reserved = stack.api.post("/api/uploads", json=wanted).json()
    image_id = reserved["image_id"]
    assert stack.image(image_id)["status"] == "pending"
    assert image_id not in {i["data"]["image_id"] for i in stack.images()}

    put = httpx.put(reserved["upload"]["url"], content=body, headers=reserved["upload"]["headers"], trust_env=False)
    assert put.status_code == 200, put.text

    image = until(lambda: (i := stack.image(image_id))["status"] == "success" and i, seconds=30)
    assert image["data"]["original_name"] == "große Datei.jpg"
    assert image_id in {i["data"]["image_id"] for i in stack.images()}
    stack.assert_statistics_are_exact()


def test_reprocessing_and_deletion_keep_the_statistics_exact(stack: Stack) -> None:
    image_id = stack.upload(pictures.jpeg())
    stack.finished(image_id)

    again = stack.api.post(f"/api/images/{image_id}/reprocess")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert stack.api.get(f"/api/images/{image_id}/thumbnails/small").status_code == 200
    assert stack.finished(image_id)["status"] == "success"
    stack.assert_statistics_are_exact()

    assert stack.api.delete(f"/api/images/{image_id}").status_code == 204
    assert stack.api.get(f"/api/images/{image_id}").status_code == 404
    assert not [k for k in stack.thumbnail_keys() if k.startswith(image_id)]
    stack.assert_statistics_are_exact()


def test_the_log_contains_an_event_for_each_end_of_an_image(stack: Stack) -> None:
    image_id = stack.upload(pictures.jpeg(120, 80))
    stack.finished(image_id)
    stack.api.delete(f"/api/images/{image_id}")
    log = stack.env_file.with_name("log")

    def events() -> list[str]:
        lines = [line.split() for line in log.read_text().splitlines()]
        return [line[2] for line in lines if line[1:2] == ["events"] and f"image_id={image_id}" in line]

    assert until(lambda: len(found := events()) == 2 and found, seconds=20) == ["ImageProcessed", "ImageDeleted"]


@pytest.mark.slow
def test_twenty_uploads_survive_the_kill_of_the_processor(stack: Stack) -> None:
    before = stack.api.get("/api/stats").json()
    image_ids = [stack.upload(pictures.jpeg(1200, 800), f"{number}.jpg") for number in range(20)]
    until(lambda: any(stack.image(i)["status"] == "processing" for i in image_ids), seconds=30)

    assert stack.kill_processors()

    for image_id in image_ids:
        image = stack.finished(image_id, seconds=90)
        assert image["status"] == "success", image
    stats = stack.api.get("/api/stats").json()
    assert stats["total"] - before["total"] == 20
    assert stats["success"] - before["success"] == 20
    stack.assert_statistics_are_exact()
