"""Steps that read: thumbnails, originals, lists."""

from __future__ import annotations

from typing import Any

from image_core.keys import thumbnail_prefix
from image_core.renditions import MEDIA_TYPES
from ops.smoke.journey import Blocked, Journey, UploadedImage, expect, require
from ops.smoke.picture import thumbnail_error
from ops.smoke.uploads import s3_error


def thumbnails(journey: Journey) -> str:
    """Check that thumbnails are images of the right size, upright, and equal to the objects in the bucket."""
    if not journey.processed:
        raise Blocked("no image was processed")
    sizes = journey.subject.thumbnails or {}
    compared = 0
    for image in journey.processed:
        shown = image.data["thumbnails"]
        require(not sizes or set(shown) == set(sizes), f"the sizes are {sorted(shown)}, not {sorted(sizes)}")
        for size in shown:
            body = fetched_thumbnail(journey, image, size)
            error = thumbnail_error(body, sizes.get(size))
            require(error is None, f"thumbnail {size}: {error}")
            if journey.subject.storage is not None and journey.subject.has_thumbnails_bucket:
                stored = _stored_thumbnail(journey, image, size)
                require(stored == body, f"thumbnail {size}: the bucket has other bytes than the API returns")
                compared += 1
    where = f"{compared} equal to the objects in the bucket" if compared else "the thumbnails bucket was not read"
    return f"upright, of the right size, the same bytes twice; {where}"


def fetched_thumbnail(journey: Journey, image: UploadedImage, size: str) -> bytes:
    path = f"/api/images/{image.image_id}/thumbnails/{size}"
    first, second = journey.call("GET", path), journey.call("GET", path)
    for response in (first, second):
        expect(response, 200)
        kind = response.headers.get("content-type", "")
        require(kind in MEDIA_TYPES.values(), f"thumbnail {size} has the Content-Type {kind!r}")
    require(first.content == second.content, f"thumbnail {size}: two calls returned different bytes")
    length = first.headers.get("content-length")
    require(length in (None, str(len(first.content))), f"thumbnail {size}: Content-Length is {length}")
    known = journey.call("GET", path, headers={"If-None-Match": first.headers.get("etag", "")})
    expect(known, 304)
    return first.content


def _stored_thumbnail(journey: Journey, image: UploadedImage, size: str) -> bytes | None:
    storage = journey.storage()
    keys = storage.list_thumbnails(thumbnail_prefix(image.image_id))
    of_size = [key for key in keys if key.rpartition("/")[2].partition(".")[0] == size]
    require(len(of_size) == 1, f"the bucket has {len(of_size)} objects for thumbnail {size}")
    return storage.get_thumbnail(of_size[0])


def original(journey: Journey) -> str:
    """Check that the presigned download returns the uploaded bytes."""
    if not journey.processed:
        raise Blocked("no image was processed")
    for image in journey.processed:
        response = journey.call("GET", f"/api/images/{image.image_id}/original")
        expect(response, 307)
        fetched = journey.call_without_key("GET", response.headers["location"])
        require(fetched.status_code == 200, f"the presigned URL returned {s3_error(fetched)}")
        require(fetched.content == image.body, "the original was returned with other bytes")
    return "307 to a presigned URL, the same bytes as uploaded"


def listing(journey: Journey) -> str:
    """Check that pages of one image show every image once, newest first."""
    if not journey.processed:
        raise Blocked("no image was processed")
    mine = {image.image_id for image in journey.processed}
    since = min(image.data["created_at"] for image in journey.processed)
    parameters: dict[str, Any] = {"limit": 1, "status": "success", "created_after": since}
    found: list[dict[str, Any]] = []
    pages = 0
    while not mine <= {item["data"]["image_id"] for item in found}:
        page = journey.json("GET", "/api/images", params=parameters)
        pages += 1
        require(len(page["data"]) <= 1, f"a page of one image has {len(page['data'])}")
        found += page["data"]
        if page["next_cursor"] is None or pages == 50:
            break
        parameters["cursor"] = page["next_cursor"]
    ids = [item["data"]["image_id"] for item in found]
    require(mine <= set(ids), f"{len(mine - set(ids))} of {len(mine)} images are missing after {pages} pages")
    require(len(ids) == len(set(ids)), "an image is on two pages")
    created = [item["data"]["created_at"] for item in found]
    require(created == sorted(created, reverse=True), "the images are not listed newest first")
    bad = journey.call("GET", "/api/images", params={"cursor": "made-up"})
    expect(bad, 400, "bad_cursor")
    return f"{pages} pages of one image, newest first, each image once"
