"""Steps that change and delete images, and check the statistics."""

from __future__ import annotations

from typing import Any

from ops.smoke.journey import (
    FINISHED,
    SETTLE_SECONDS,
    Blocked,
    Journey,
    Skipped,
    StepFailed,
    UploadedImage,
    expect,
    require,
)
from ops.smoke.picture import thumbnail_error
from ops.smoke.reading import fetched_thumbnail

_MADE_UP_ETAG = '"00000000000000000000000000000000"'
_STATISTICS_SECONDS = 5.0


def statistics_before(journey: Journey) -> str:
    """Read the statistics and the list before this run."""
    journey.others_before = journey.images_of_others()
    journey.stats_before = journey.json("GET", "/api/stats")
    return f"{journey.stats_before['total']} images before this run"


def patch(journey: Journey) -> str:
    """PATCH changes the texts only if `If-Match` is current."""
    image = journey.need("posted")
    path, title = f"/api/images/{image.image_id}", f"Smoke test {journey.token}"
    stale = journey.call("PATCH", path, json={"title": title}, headers={"If-Match": _MADE_UP_ETAG})
    expect(stale, 412, "precondition_failed")
    etag = image.data["text_etag"]
    changed = journey.json("PATCH", path, json={"title": title, "tags": ["smoke"]}, headers={"If-Match": etag})
    require(changed["data"]["title"] == title, "the title was not changed")
    again = journey.call("PATCH", path, json={"title": "lost"}, headers={"If-Match": etag})
    expect(again, 412, "precondition_failed")
    require(journey.image(image.image_id)["data"]["title"] == title, "the title is not returned")
    return "412 with a wrong ETag, 200 with the right one, 412 with the old one"


def search(journey: Journey) -> str:
    """Search finds an image by its new title, and no longer by words that it does not have."""
    image = journey.need("posted")
    title = journey.image(image.image_id)["data"]["title"]
    require(journey.token in str(title), "the image has no title of this run")
    query = f'"{title}" tag:smoke'

    def found() -> list[str]:
        listed = journey.json("GET", "/api/images", params={"q": query, "limit": 5})
        return [item["data"]["image_id"] for item in listed["data"]]

    journey.until(lambda: found() == [image.image_id], what="the search index", seconds=journey.timeout_seconds)
    without = journey.json("GET", "/api/images", params={"q": f"{query} -smoke"})
    require(without["data"] == [], "a word that was excluded was found")
    expect(journey.call("GET", "/api/images", params={"q": '"smoke'}), 400, "bad_query")
    return "found by its title and tag; 400 for a query that cannot be understood"


def reprocess(journey: Journey) -> str:
    """Reprocess an image, which keeps its title and gets the same caption."""
    uploaded = journey.need("posted")
    before = journey.image(uploaded.image_id)["data"]
    # Without `force` the caption would be copied, and the model would not run.
    accepted = journey.call("POST", f"/api/images/{uploaded.image_id}/reprocess?force=true")
    expect(accepted, 202)

    def processed_again() -> dict[str, Any] | None:
        image = journey.image(uploaded.image_id)
        is_newer = image["data"]["generation"] > before["generation"]
        return image if image["status"] in FINISHED and is_newer else None

    what = "the image was not processed again"
    image = journey.until(processed_again, what=what, seconds=journey.timeout_seconds)
    require(image["status"] == "success", f"the image is {image['status']}: {image['error']}")
    data = image["data"]
    metadata = data["metadata"]
    if metadata["caption_model"] == before["metadata"]["caption_model"]:  # else a new model was loaded meanwhile
        require(metadata["caption"] == before["metadata"]["caption"], "the same model gave another caption")
    require(data["title"] == before["title"], "the title was lost")
    uploaded.data = data
    for size in data["thumbnails"]:
        error = thumbnail_error(fetched_thumbnail(journey, uploaded, size), None)
        require(error is None, f"thumbnail {size}: {error}")
    return "the same caption, the title kept, the thumbnails readable"


def statistics_count_them(journey: Journey) -> str:
    """Check that the statistics have changed by exactly the images of this run."""
    if not journey.processed:
        raise Blocked("no image was processed")
    return _compare_statistics(journey, added=len(journey.processed))


def delete_by_api(journey: Journey) -> str:
    """DELETE removes record, original and thumbnails, and only if `If-Match` is current."""
    deleted = []
    for name in ("posted", "presigned"):
        if name not in journey.images:
            continue
        image = journey.images[name]
        path = f"/api/images/{image.image_id}"
        stale = journey.call("DELETE", path, headers={"If-Match": _MADE_UP_ETAG})
        expect(stale, 412, "precondition_failed")
        expect(journey.call("DELETE", path), 204)
        expect(journey.call("GET", path), 404, "not_found")
        _wait_until_removed(journey, image)
        deleted.append(name)
    if not deleted:
        raise Blocked("no image was uploaded")
    return f"412 with a wrong ETag, then 204 and 404; nothing is left of {' and '.join(deleted)}"


def delete_in_bucket(journey: Journey) -> str:
    """Deleting the object in the bucket removes record and thumbnails."""
    storage = journey.storage()
    if "dropped" not in journey.images:
        raise Blocked("no file was dropped")
    image = journey.images["dropped"]
    stored = storage.head(image.key)
    if stored is None:
        raise StepFailed("the dropped file is not in the bucket any more")
    storage.delete_original(stored)
    _wait_until_removed(journey, image, seconds=journey.timeout_seconds)
    return "the record and the thumbnails of the deleted file are gone"


def _wait_until_removed(journey: Journey, image: UploadedImage, seconds: float = SETTLE_SECONDS) -> None:
    try:
        journey.until(lambda: journey.is_removed(image), what="deletion", seconds=seconds)
    except StepFailed as error:
        raise StepFailed(f"{'; '.join(journey.leftovers(image))} after {seconds:.0f} s") from error
    image.is_deleted = True


def statistics_after_deletion(journey: Journey) -> str:
    """Check that the statistics are the same as at the beginning."""
    if not journey.images:
        raise Blocked("no image was uploaded")
    if not all(image.is_deleted for image in journey.images.values()):
        raise Blocked("not every image was deleted")
    return _compare_statistics(journey, added=0)


def _compare_statistics(journey: Journey, *, added: int) -> str:
    before = journey.stats_before
    if before is None:
        raise Blocked("the statistics at the beginning are not known")
    wanted = {
        "total": before["total"] + added,
        "success": before["success"] + added,
        "failed": before["failed"],
        "in_progress": before["in_progress"],
    }

    def counted() -> dict[str, Any]:
        stats = journey.json("GET", "/api/stats")
        return {name: stats[name] for name in wanted}

    try:
        journey.until(lambda: counted() == wanted, what="statistics", seconds=_STATISTICS_SECONDS)
    except StepFailed as error:
        if journey.others_are_active():
            raise Skipped("others used the stack at the same time, so the numbers cannot be compared") from error
        raise StepFailed(f"the statistics are {counted()}, not {wanted}") from error
    return f"exactly {added} more than before" if added else "exactly as before"


def check_cleanup(journey: Journey) -> str:
    """The last step, after the cleanup. It always runs."""
    left = {image.name: journey.leftovers(image) for image in journey.images.values()}
    problems = [f"{name}: {', '.join(what)}" for name, what in left.items() if what]
    listed = journey.json("GET", "/api/images", params={"limit": 100})
    problems += [
        f"{item['data']['original_name']} is still listed"
        for item in listed["data"]
        if journey.token in str(item["data"]["original_name"])
    ]
    require(not problems, "; ".join(problems))
    what = "record, object or thumbnail" if journey.subject.storage else "image"
    return f"no {what} of {len(journey.images)} is left; the bucket keeps old versions"
