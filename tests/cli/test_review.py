"""`review`: the images without an alt text, against a running stack."""

from __future__ import annotations

from tests.cli.command import Imgpipe
from tests.cli.proxy import Proxy, json_reply
from tests.pictures import jpeg
from tests.running_stack import Stack

EMPTY = {"data": [], "next_cursor": None, "warnings": [], "review_count": 0}
IMAGE_ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"


def image(number: int, confidence: object, flags: object) -> dict[str, object]:
    metadata = {"caption": "a lake", "caption_confidence": confidence, "caption_flags": flags}
    data = {"image_id": f"{IMAGE_ID[:-1]}{number}", "original_name": "a.jpg", "metadata": metadata}
    return {"status": "success", "data": data, "error": None}


def test_review_lists_images_until_they_have_an_alt_text(imgpipe: Imgpipe, stack: Stack) -> None:
    before = {one["data"]["image_id"] for one in imgpipe("review", "--all", "--json").documents}
    image_id = stack.upload(jpeg(311, 99), "to-review.jpg")
    stack.finished(image_id)
    listed = imgpipe("review", "--all", "--json").documents
    assert {one["data"]["image_id"] for one in listed} == before | {image_id}
    confidences = [one["data"]["metadata"]["caption_confidence"] or 0 for one in listed]
    assert confidences == sorted(confidences)
    stack.api.patch(f"/api/images/{image_id}", json={"alt_text": "a picture"})
    assert {one["data"]["image_id"] for one in imgpipe("review", "--all", "--json").documents} == before


def test_rows_show_confidence_and_flags_and_the_note_how_many_there_are(imgpipe: Imgpipe, proxy: Proxy) -> None:
    images = [image(0, None, None), image(1, 0.4271, ["low_confidence", "too_short"]), image(2, "x", "y")]
    page = {**EMPTY, "data": [*images, image(3, 1, [])], "review_count": 4120}
    proxy.always("GET", "/api/images", lambda _: json_reply(200, page))
    run = imgpipe("review", "--limit", "3", "--query", "lake")
    assert run.rows[0] == ["image", "confidence", "flags", "name", "created", "caption"]
    assert [row[1:4] for row in run.rows[1:]] == [
        ["", "", "a.jpg"],
        ["0.43", "low_confidence, too_short", "a.jpg"],
        ["", "", "a.jpg"],
    ]
    assert "3 of 4,120 images shown." in run.err
    (request,) = proxy.requests("GET", "/api/images")
    assert request.path.endswith("?review=open&q=lake&limit=4")


def test_a_count_at_its_limit_is_a_minimum(imgpipe: Imgpipe, proxy: Proxy) -> None:
    page = {**EMPTY, "data": [image(0, 0.1, []), image(1, 0.2, [])], "review_count": 10_000}
    proxy.always("GET", "/api/images", lambda _: json_reply(200, page))
    assert "1 of 10,000 or more images shown." in imgpipe("review", "--limit", "1").err


def test_an_api_without_reviews_is_not_taken_for_one_where_everything_is_open(
    imgpipe: Imgpipe, proxy: Proxy
) -> None:
    page = {"data": [], "next_cursor": None, "warnings": []}
    proxy.always("GET", "/api/images", lambda _: json_reply(200, page))
    run = imgpipe("review", code=1)
    assert (run.out, "This API has no list of images to review" in run.err) == ("", True)
