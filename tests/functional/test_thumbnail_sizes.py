"""Thumbnail sizes are one table, the setting THUMBNAILS: every size in it is made, listed and served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageChops, ImageStat

from image_core.model import Status
from image_core.settings import thumbnail_sizes
from image_processor.handler import Processor
from tests import pictures
from tests.functional.captioners import FakeCaptioner
from tests.functional.emulator import Stack
from tests.functional.http_api import Api
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
    for size, side in thumbnail_sizes(WITH_LARGE).items():
        response = api.get(urlsplit(urls[size]).path)
        assert Image.open(BytesIO(response.body)).size == (side, side)
    large = Image.open(BytesIO(api.get(urlsplit(urls["large"]).path).body)).convert("L")
    difference = ImageChops.difference(large, original.resize(large.size, Image.Resampling.LANCZOS))
    assert ImageStat.Stat(difference).mean[0] < 8, "it would be 16 if it were enlarged from a smaller picture"


def test_an_older_image_returns_its_existing_sizes(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    now = Api(replace(stack.services, settings=stack.settings.model_copy(update={"thumbnails": {"large": 1024}})))

    assert list(now.get(path).json()["data"]["thumbnails"]) == ["small", "medium"]
    assert now.get(f"{path}/thumbnails/small").body == api.get(f"{path}/thumbnails/small").body
    missing = now.get(f"{path}/thumbnails/large")
    assert (missing.status, missing.code) == (404, "not_ready")
    assert "small, medium" in missing.json()["error"]["message"]
    assert "retry-after" not in missing.headers, "waiting does not help"


@pytest.mark.parametrize("size", ["large", "Small", "small.jpg", "%00", "x" * 300])
@pytest.mark.parametrize("status", [Status.SUCCESS, Status.PENDING, Status.RESERVED])
def test_a_size_that_is_not_configured_is_never_found(stack: Stack, api: Api, status: Status, size: str) -> None:
    record = image_in(stack.records, status)
    missing = api.get(f"/api/images/{record.image_id}/thumbnails/{size}")
    assert (missing.status, missing.code) == (404, "not_ready")
    assert "small, medium" in missing.json()["error"]["message"]
