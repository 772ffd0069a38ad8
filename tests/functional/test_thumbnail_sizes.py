"""Thumbnail sizes are one table, the setting THUMBNAILS: every size in it is made, listed and served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageChops, ImageStat

from image_core import renditions
from image_core.model import Status
from image_processor.handler import Processor
from tests import pictures
from tests.functional.captioners import FakeCaptioner
from tests.functional.emulator import Stack
from tests.functional.http_api import Api, request
from tests.functional.images import image_in, stored_image
from tests.functional.s3_events import messages, notification

WITH_LARGE = "small=150,medium=300,large=1024"
SIDE = 1536
"""Large enough that decoding for the medium size alone would leave fewer than 1024 pixels."""


def process(stack: Stack) -> None:
    Processor(stack.services, lambda _: FakeCaptioner())(messages(notification(stack, key=stack.the_record().key)))


def test_a_size_can_be_added_by_configuration(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(thumbnails=WITH_LARGE)
    api = Api(stack.services)
    original = pictures.noise(SIDE, SIDE).convert("L")
    image_id = api.upload(pictures.encode(original, "JPEG", quality=95)).json()["image_id"]
    process(stack)

    urls = api.get(f"/api/images/{image_id}").json()["data"]["thumbnails"]
    assert list(urls) == ["small", "medium", "large"]
    for size, rendition in renditions.parse(WITH_LARGE).items():
        response = api.get(urlsplit(urls[size]).path)
        assert Image.open(BytesIO(response.body)).size == (rendition.side, rendition.side)
    large = Image.open(BytesIO(api.get(urlsplit(urls["large"]).path).body)).convert("L")
    difference = ImageChops.difference(large, original.resize(large.size, Image.Resampling.LANCZOS))
    assert ImageStat.Stat(difference).mean[0] < 8, "it would be 16 if it were enlarged from a smaller picture"


def test_an_older_image_returns_its_existing_sizes(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    now = Api(
        replace(
            stack.services,
            settings=stack.settings.model_copy(update={"thumbnails": renditions.parse("large=1024")}),
        )
    )

    assert list(now.get(path).json()["data"]["thumbnails"]) == ["small", "medium"]
    assert now.get(f"{path}/thumbnails/small").body == api.get(f"{path}/thumbnails/small").body
    missing = now.get(f"{path}/thumbnails/large")
    assert (missing.status, missing.code) == (404, "not_ready")
    assert "small, medium" in missing.json()["error"]["message"]
    assert "retry-after" not in missing.headers, "waiting does not help"


def test_reprocessing_only_the_thumbnails_adds_a_new_size(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(thumbnails="small=150")
    captioner = FakeCaptioner()
    stack.put("photo.jpg", pictures.jpeg(2000, 1000))
    Processor(stack.services, lambda _: captioner)(messages(notification(stack)))
    record = stack.the_record()
    larger = replace(
        stack.services,
        settings=stack.settings.model_copy(update={"thumbnails": renditions.parse("small=150,large=1280:webp")}),
    )
    api = Api(larger)

    path = f"/api/images/{record.image_id}/reprocess"
    assert api.send(request("http_post_empty.json", path, "stage=thumbnails")).status == 202
    Processor(larger, lambda _: captioner)(messages(notification(stack)))

    found = api.get(f"/api/images/{record.image_id}").json()["data"]["renditions"]
    assert [(one["name"], one["width"], one["height"], one["format"]) for one in found] == [
        ("small", 150, 75, "jpeg"),
        ("large", 1280, 640, "webp"),
    ]
    assert len(api.get(urlsplit(found[1]["url"]).path).body) == found[1]["bytes"]
    assert len(captioner.pictures) == 1, "the caption is kept"


@pytest.mark.parametrize("size", ["huge", "Small", "small.jpg", "%00", "x" * 300])
@pytest.mark.parametrize("status", [Status.SUCCESS, Status.PENDING, Status.RESERVED])
def test_a_size_that_is_not_configured_is_never_found(stack: Stack, api: Api, status: Status, size: str) -> None:
    record = image_in(stack.records, status)
    missing = api.get(f"/api/images/{record.image_id}/thumbnails/{size}")
    assert (missing.status, missing.code) == (404, "not_ready")
    assert "small, medium" in missing.json()["error"]["message"]
