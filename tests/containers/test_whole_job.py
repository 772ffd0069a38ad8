"""`make sam-local`: every function in Lambda's own container, from upload to caption, with the local AWS."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests import pictures
from tests.containers.conftest import sam_environment
from tests.receiver import SECRET, Receiver, receiver
from tests.running_stack import Stack, running_stack, until
from tests.smoke_run import smoke_on

pytestmark = pytest.mark.containers

PHOTOGRAPH = pictures.jpeg(1600, 1200, orientation=6, quality=90)
"""A drawn picture. Its pixels are stored rotated, as its EXIF says."""
Checked = Callable[[str], None]


def containers() -> set[str]:
    """Return the containers that `sam local` runs."""
    listed = subprocess.run(["docker", "ps", "--format", "{{.ID}} {{.Image}}"], capture_output=True, text=True)
    return {line for line in listed.stdout.splitlines() if "samcli/" in line or ":rapid-" in line}


@pytest.fixture(scope="module")
def checked() -> Iterator[Checked]:
    """Collects what was checked. The list is printed at the end."""
    points: list[str] = []
    yield points.append
    print("\n\nIn Lambda's containers (`sam build`, `sam local start-api`, `sam local start-lambda`) was checked:")
    print("\n".join(f"  {number:2}. {point}" for number, point in enumerate(points, start=1)))


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiver]:
    """A receiver of webhooks that containers can reach: it listens on every address."""
    with receiver(host="0.0.0.0") as running:
        yield running


@pytest.fixture(scope="module")
def stack(
    built: str, tmp_path_factory: pytest.TempPathFactory, checked: Checked, receiving: Receiver
) -> Iterator[Stack]:
    before = containers()
    folder = tmp_path_factory.mktemp("whole-job")
    webhooks = {"WEBHOOK_URL": receiving.url, "WEBHOOK_SECRET": SECRET}
    env = sam_environment() | webhooks | {"SAM_SKIP_PULL_IMAGE": "true"}
    with running_stack(folder, "--sam", env=env) as stack:
        yield stack
    assert containers() <= before
    checked("Ctrl-C ends it and leaves no container behind")


def processed(stack: Stack, image_id: str) -> dict[str, Any]:
    image = stack.finished(image_id, seconds=120)
    assert image["status"] == "success", image
    return dict(image["data"])


def assert_shows_the_scene(response: httpx.Response, expected: tuple[int, int]) -> None:
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
    thumbnail = Image.open(io.BytesIO(response.content))
    assert thumbnail.size == expected
    assert pictures.same_scene(thumbnail)


def test_the_first_photograph_is_processed_by_cold_containers(stack: Stack, checked: Checked) -> None:
    started = time.monotonic()
    response = stack.api.post("/api/images", files={"file": ("große Datei.jpg", PHOTOGRAPH)})
    assert response.status_code == 202 and response.json()["status"] == "pending"
    assert response.headers["x-request-id"]
    data = processed(stack, response.json()["image_id"])
    seconds = time.monotonic() - started
    assert data["original_name"] == "große Datei.jpg"
    assert (data["metadata"]["width"], data["metadata"]["height"]) == (1600, 1200)
    assert data["metadata"]["exif"]["Orientation"] == 6
    assert data["metadata"]["caption"] and data["metadata"]["caption_model"]
    checked(f"just started: a photograph posted as multipart form is a success, {seconds:.1f} s later")
    checked(f"its metadata are those of the upright picture; its caption: “{data['metadata']['caption']}”")


def test_the_second_photograph_is_processed_by_warm_containers_and_thumbnails_are_binary(
    stack: Stack, checked: Checked
) -> None:
    started = time.monotonic()
    image_id = stack.upload(PHOTOGRAPH)
    processed(stack, image_id)
    checked(f"warm: the same, {time.monotonic() - started:.1f} s")
    for size, expected in (("small", (150, 112)), ("medium", (300, 225))):
        assert_shows_the_scene(stack.api.get(f"/api/images/{image_id}/thumbnails/{size}"), expected)
    etag = stack.api.get(f"/api/images/{image_id}/thumbnails/small").headers["etag"]
    again = stack.api.get(f"/api/images/{image_id}/thumbnails/small", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    checked("both thumbnails are binary answers, upright, of the right size, with an ETag that answers 304")


def test_presigned_urls_work_outside_of_the_containers(stack: Stack, checked: Checked) -> None:
    wanted = {"filename": "big one.jpg", "content_type": "image/jpeg", "size": len(PHOTOGRAPH)}
    reserved = stack.api.post("/api/uploads", json=wanted)
    assert reserved.status_code == 201, reserved.text
    upload = reserved.json()["upload"]
    put = httpx.put(upload["url"], content=PHOTOGRAPH, headers=upload["headers"], trust_env=False)
    assert put.status_code == 200, put.text
    image_id = reserved.json()["image_id"]
    processed(stack, image_id)
    location = stack.api.get(f"/api/images/{image_id}/original").headers["location"]
    assert httpx.get(location, trust_env=False).content == PHOTOGRAPH
    checked("JSON in: a reserved upload is PUT to its presigned URL and processed")
    checked("the original comes back by a presigned URL, byte for byte")


def test_a_dropped_file_with_any_name_is_processed(stack: Stack, checked: Checked) -> None:
    name = "my photo+1 é 50%.jpg"
    stack.s3.put_object(Bucket=stack.bucket, Key=f"some folder/{name}", Body=PHOTOGRAPH)
    assert stack.dropped(name, seconds=120)["status"] == "success"
    checked(f"a file dropped into the bucket as “some folder/{name}” is processed")


def test_errors_are_returned_in_the_envelope(stack: Stack, checked: Checked) -> None:
    image = stack.finished(stack.upload(PHOTOGRAPH[: len(PHOTOGRAPH) // 2]), seconds=120)
    assert (image["status"], image["error"]["code"]) == ("failed", "corrupt_image")
    checked("half a photograph ends as `failed`, `corrupt_image`")
    api = stack.api
    large = PHOTOGRAPH + bytes(4_100_000)
    for response, status, code in (
        (api.get("/api/images/unknown"), 404, "not_found"),
        (api.get("/nowhere"), 404, "not_found"),
        (api.put("/api/images"), 405, "method_not_allowed"),
        (api.post("/api/images", files={"file": ("text.jpg", b"no picture")}), 400, "unsupported_format"),
        (api.post("/api/images", files={"file": ("large.jpg", large)}), 413, "too_large"),
        (api.post("/api/uploads", json={"size": "many"}), 422, "invalid_request"),
        (api.get("/api/images?cursor=made-up"), 400, "bad_cursor"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    checked("errors keep their envelope: 400, 404, 405, 413 (over 4 MB), 422")


def test_an_image_can_be_reprocessed_and_deleted(stack: Stack, checked: Checked) -> None:
    image_id = stack.upload(PHOTOGRAPH)
    first = processed(stack, image_id)
    stack.api.patch(f"/api/images/{image_id}", json={"title": "Only this one"})
    found = lambda: stack.api.get('/api/images?q="only this one"').json()["data"]  # noqa: E731
    assert [image["data"]["image_id"] for image in until(found, seconds=60)] == [image_id]
    checked("search finds an image by its new title")
    assert stack.api.post(f"/api/images/{image_id}/reprocess").status_code == 202
    until(lambda: (stack.image(image_id)["data"] or {}).get("processed_at") is not None, seconds=60)
    again = processed(stack, image_id)
    assert again["metadata"]["caption"] == first["metadata"]["caption"]
    assert stack.api.delete(f"/api/images/{image_id}").status_code == 204
    assert stack.api.get(f"/api/images/{image_id}").status_code == 404
    assert not [key for key in stack.thumbnail_keys() if key.startswith(image_id)]
    checked("an image is reprocessed with the same caption, then deleted, its thumbnails with it")


def test_lists_statistics_page_and_documentation_are_served(stack: Stack, checked: Checked) -> None:
    until(lambda: stack.api.get("/api/stats").json()["in_progress"] == 0, seconds=120)
    stack.assert_statistics_are_exact()
    assert stack.api.get("/health").json()["caption_model"]
    assert "text/html" in stack.api.get("/docs").headers["content-type"]
    assert stack.api.get("/openapi.json").json()["paths"]
    checked("statistics equal a recount of the list; /health names the model; /docs and /openapi.json are served")


def test_a_webhook_arrives_signed(stack: Stack, receiving: Receiver, checked: Checked) -> None:
    data = processed(stack, stack.upload(PHOTOGRAPH))

    def webhooks() -> list[Any]:
        found = [request.verified(SECRET) for request in receiving.requests]
        return [one for one in found if one["data"]["image_id"] == data["image_id"]]

    (webhook,) = until(webhooks, seconds=120)
    assert (webhook["type"], webhook["data"]["caption"]) == ("image.processed", data["metadata"]["caption"])
    checked("a webhook with the caption arrives, and its signature is verified")


def test_the_smoke_test_passes(stack: Stack, checked: Checked, tmp_path: Path) -> None:
    smoke_on(stack, tmp_path).assert_everything_passed(skipped={"401 without a key"})
    checked("`make smoke`: every step passes, and nothing differs from the documentation")
