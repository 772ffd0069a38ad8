"""Images in the middle of the pipeline, written directly into the running stack's tables and buckets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import boto3

from image_core.keys import new_image_id, thumbnail_key
from image_core.model import Record, Status, ThumbnailInfo, Thumbnails
from image_core.renditions import DEFAULT, largest_side, parse
from image_core.stores.items import to_item
from image_processor.picture.decode import decode
from image_processor.picture.metadata import extract
from image_processor.picture.placeholder import placeholder
from image_processor.picture.thumbnails import encode, scaled
from tests import pictures
from tests.running_stack import Stack

SIZES = {"small": (150, 100), "medium": (300, 200), "large": (900, 600)}
METADATA = {
    "width": 900,
    "height": 600,
    "format": "jpeg",
    "size_bytes": 9000,
    "sha256": "0" * 64,
    "exif": {},
    "placeholder": {"thumbhash": "HggCBYJCQRAjIhFVVpZVVwYw4i9z", "color": "#7d7777"},
}
RENDITIONS = parse(DEFAULT)
BATCH = 25  # DynamoDB's limit
FAR_MS = 4_000_000_000_000  # a deadline that the sweep does not reach during the tests


@dataclass(frozen=True)
class Picture:
    """What the processor saves of a file before its caption. The keys of the thumbnails are of no image yet."""

    metadata: Mapping[str, Any]
    thumbnails: Thumbnails
    bodies: Mapping[str, bytes]


class Seed:
    """Writes records without the functions, and removes them at the end. The statistics do not include them."""

    def __init__(self, stack: Stack) -> None:
        self._dynamodb: Any = boto3.client(
            "dynamodb",
            endpoint_url=stack.s3.meta.endpoint_url,
            region_name=stack.s3.meta.region_name,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        tables = self._dynamodb.list_tables()["TableNames"]
        self._table = next(name for name in tables if "image" in name.lower())
        self._ids: set[str] = set()
        self._stack = stack
        self._bodies: dict[str, bytes] = {}
        """By the part of their key that follows the image."""
        bodies = {size: pictures.jpeg(*sides) for size, sides in SIZES.items()}
        infos = {size: _info(size, bodies[size], *sides, "image/jpeg") for size, sides in SIZES.items()}
        self.thumbnails = self.add(Picture(METADATA, Thumbnails("one", "v1", 1, infos), bodies))
        """The thumbnails of every image that has no picture of its own."""

    def add(self, picture: Picture) -> Thumbnails:
        """Return the picture's thumbnails, for records.

        `put` stores them under the image's own keys, because the API serves no others.
        """
        self._bodies |= {_rest(info): picture.bodies[size] for size, info in picture.thumbnails.sizes.items()}
        return picture.thumbnails

    def show(self, *files: bytes) -> list[Record]:
        """Write finished images of these files, named "picture 000.jpg" and so on, and return their records."""
        shown = [processed(file) for file in files]
        records = [finished(index, self.add(one), one.metadata) for index, one in enumerate(shown)]
        self.put(records)
        return records

    def put(self, records: Sequence[Record]) -> None:
        own = [self._with_thumbnails(record) for record in records]
        self._ids.update(record.image_id for record in own)
        self._write([{"PutRequest": {"Item": to_item(record)}} for record in own])

    def _with_thumbnails(self, record: Record) -> Record:
        if record.thumbnails is None:
            return record
        sizes = {
            size: replace(info, key=f"{record.image_id}/{_rest(info)}")
            for size, info in record.thumbnails.sizes.items()
        }
        for info in sizes.values():
            self._stack.s3.put_object(
                Bucket=self._stack.thumbnails_bucket,
                Key=info.key,
                Body=self._bodies[_rest(info)],
                ContentType=info.content_type,
            )
        return replace(record, thumbnails=replace(record.thumbnails, sizes=sizes))

    def remove(self) -> None:
        self._write([{"DeleteRequest": {"Key": {"image_id": {"S": image_id}}}} for image_id in self._ids])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), BATCH):
            response = self._dynamodb.batch_write_item(RequestItems={self._table: requests[start : start + BATCH]})
            assert not response["UnprocessedItems"]


@contextmanager
def seeding(stack: Stack) -> Iterator[Seed]:
    seed = Seed(stack)
    try:
        yield seed
    finally:
        seed.remove()


@contextmanager
def many_images(stack: Stack, number: int, files: Sequence[bytes] = ()) -> Iterator[None]:
    """Create finished images named "picture 000.jpg" and so on. The last is the newest.

    They show `files` in turn, or all the same picture.
    """
    with seeding(stack) as seed:
        shown = [processed(file) for file in files]
        own = [(seed.add(one), one.metadata) for one in shown] or [(seed.thumbnails, METADATA)]
        seed.put([finished(index, *own[index % len(own)]) for index in range(number)])
        yield


def processed(body: bytes) -> Picture:
    """Return what the processor makes of a file with the default renditions."""
    decoded = decode(body, max_pixels=100_000_000, largest_side=largest_side(RENDITIONS))
    made = scaled(decoded, RENDITIONS)
    encoded = encode(made, RENDITIONS)
    metadata = extract(decoded, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
    infos = {name: _info(name, one.body, one.width, one.height, one.content_type) for name, one in encoded.items()}
    return Picture(
        metadata | {"placeholder": dict(placeholder(made["small"]))},
        Thumbnails("one", "v1", 1, infos),
        {name: one.body for name, one in encoded.items()},
    )


def _info(size: str, body: bytes, width: int, height: int, content_type: str) -> ThumbnailInfo:
    return ThumbnailInfo(thumbnail_key("", "one", size, body), width, height, content_type, len(body))


def _rest(info: ThumbnailInfo) -> str:
    return info.key.partition("/")[2]


def finished(index: int, thumbnails: Thumbnails, metadata: Mapping[str, Any] = METADATA) -> Record:
    """Return the record of a processed image."""
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
        metadata=metadata,
        thumbnails=thumbnails,
        caption="four fields of color",
        caption_model="seeded",
        caption_confidence=0.9,
        caption_flags=(),
        caption_language="en",
        processed_ms=created_ms + 500,
        processing_ms=500,
    )


def claimed(done: Record) -> Record:
    """Return `done` in the state in which a worker has claimed it and saved nothing yet."""
    return replace(
        captioning(done),
        metadata=None,
        thumbnails=None,
    )


def captioning(done: Record) -> Record:
    """Return `done` in the state between its thumbnails and its caption."""
    return replace(
        done,
        status=Status.PROCESSING,
        attempt="one",
        attempts=1,
        lease_until=FAR_MS,
        deadline=FAR_MS,
        finished_version=None,
        finished_generation=None,
        caption=None,
        caption_model=None,
        caption_confidence=None,
        caption_flags=None,
        caption_language=None,
        processed_ms=None,
        processing_ms=None,
    )
