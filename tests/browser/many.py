"""Many finished images at once, written into the running stack's own tables and buckets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from image_core.keys import new_image_id
from image_core.models import Record, Status, ThumbnailInfo, Thumbnails
from image_core.records.items import to_item
from tests import pictures
from tests.running_stack import Stack

BATCH = 25  # DynamoDB's most


@contextmanager
def many_images(stack: Stack, number: int) -> Iterator[None]:
    """Images named "picture 000.jpg" and on, the last the newest, that share their thumbnails."""
    dynamodb: Any = boto3.client(
        "dynamodb",
        endpoint_url=stack.s3.meta.endpoint_url,
        region_name=stack.s3.meta.region_name,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    table = next(name for name in dynamodb.list_tables()["TableNames"] if "image" in name.lower())
    infos = {}
    for size, (width, height) in {"small": (150, 100), "medium": (300, 200)}.items():
        body, key = pictures.jpeg(width, height), f"seeded/one/{size}"
        stack.s3.put_object(Bucket=stack.thumbnails_bucket, Key=key, Body=body, ContentType="image/jpeg")
        infos[size] = ThumbnailInfo(key, width, height, "image/jpeg", len(body))
    items = [to_item(_record(index, Thumbnails("one", "v1", 1, infos))) for index in range(number)]

    def write(requests: list[dict[str, Any]]) -> None:
        for start in range(0, number, BATCH):
            answer = dynamodb.batch_write_item(RequestItems={table: requests[start : start + BATCH]})
            assert not answer["UnprocessedItems"]

    write([{"PutRequest": {"Item": item}} for item in items])
    try:
        yield
    finally:
        write([{"DeleteRequest": {"Key": {"image_id": item["image_id"]}}} for item in items])


def _record(index: int, thumbnails: Thumbnails) -> Record:
    created_ms = 1_790_000_000_000 + index
    return Record(
        image_id=new_image_id(),
        key=f"seeded/picture {index:03}.jpg",
        rev=3,
        status=Status.SUCCESS,
        generation=1,
        created_ms=created_ms,
        original_name=f"picture {index:03}.jpg",
        source="bucket",
        content_type="image/jpeg",
        version="v1",
        version_etag="v1",
        finished_version="v1",
        finished_generation=1,
        finished_attempt="one",
        metadata={
            "width": 900,
            "height": 600,
            "format": "jpeg",
            "size_bytes": 9000,
            "sha256": "0" * 64,
            "exif": {},
        },
        thumbnails=thumbnails,
        caption="four fields of colour",
        caption_model="seeded",
        processed_ms=created_ms + 500,
        processing_ms=500,
    )
