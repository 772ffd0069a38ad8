"""The steps of a smoke test, in order. Each returns what it found, and raises what `ops.smoke.journey` defines."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from typing import Any

from image_core.keys import derived_image_id, thumbnail_prefix, upload_key
from ops.smoke.gateway import error_responses, head_responses
from ops.smoke.journey import (
    FINISHED,
    Blocked,
    Journey,
    Made,
    Skipped,
    StepFailed,
    body_of,
    error_code,
    expect,
    require,
)
from ops.smoke.picture import HEIGHT, WIDTH, picture, thumbnail_error

Step = Callable[[Journey], str]

_MADE_UP_ETAG = '"00000000000000000000000000000000"'
_MADE_UP_ORIGIN = "https://smoke-test.example"


def health(journey: Journey) -> str:
    response = journey.call_without_key("GET", "/health")
    expect(response, 200)
    journey.health = body_of(response)
    require(journey.health.get("status") == "ok", f"the status is {journey.health.get('status')!r}, not 'ok'")
    journey.has_gateway = "apigw-requestid" in response.headers
    index = journey.call_without_key("GET", "/", headers={"Accept": "application/json"})
    expect(index, 200)
    journey.limits = dict(body_of(index)["limits"])
    return f"caption model: {journey.health.get('caption_model') or 'none has been loaded yet'}"


def unauthorized(journey: Journey) -> str:
    response = journey.call_without_key("GET", "/api/stats")
    if journey.subject.key is None and response.status_code == 200:
        raise Skipped("this stack requires no API key")
    require(journey.subject.key, "this API requires a key: put it into IMGPIPE_API_KEY")
    expect(response, 401, "unauthorized")
    wrong = journey.call_without_key("GET", "/api/stats", headers={"X-Api-Key": "not-the-key-of-this-stack"})
    expect(wrong, 401, "unauthorized")
    documented = 'ApiKey realm="image pipeline", header="X-Api-Key"'
    journey.observe(
        "WWW-Authenticate of a 401", documented, response.headers.get("www-authenticate", "no such header")
    )
    return "401 without a key and with a wrong one"


def statistics_before(journey: Journey) -> str:
    journey.others_before = journey.others()
    journey.stats_before = journey.json("GET", "/api/stats")
    return f"{journey.stats_before['total']} images before this run"


def post(journey: Journey) -> str:
    name, body = f"smoke-{journey.token}-é.jpg", picture(f"{journey.token} posted")
    started = time.monotonic()
    response = journey.call("POST", "/api/images", files={"file": (name, body, "image/jpeg")})
    expect(response, 202)
    accepted = body_of(response)
    image_id = str(accepted["image_id"])
    journey.made["posted"] = Made(image_id, name, body, upload_key(image_id, name), started)
    require(
        response.headers.get("location", "").endswith(f"/api/images/{image_id}"), "Location does not name the image"
    )
    require(
        accepted["data"]["original_name"] == name, f"the name came back as {accepted['data']['original_name']!r}"
    )
    return f"202, status {accepted['status']}"


def presigned_put(journey: Journey) -> str:
    name, body = f"smoke-{journey.token}-presigned.jpg", picture(f"{journey.token} presigned")
    wanted = {
        "filename": name,
        "content_type": "image/jpeg",
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    started = time.monotonic()
    reserved = journey.json("POST", "/api/uploads", 201, json=wanted)
    image_id, upload = str(reserved["image_id"]), reserved["upload"]
    journey.made["presigned"] = Made(image_id, name, body, upload_key(image_id, name), started)
    journey.upload_url = upload["url"]
    if journey.subject.is_aws:  # an emulator may store what S3 refuses
        other = upload["headers"] | {"Content-Type": "image/png"}
        refused = journey.call_without_key("PUT", upload["url"], content=body, headers=other)
        journey.observe("PUT to a presigned URL with another type", "403 SignatureDoesNotMatch", _s3_error(refused))
    stored = journey.call_without_key("PUT", upload["url"], content=body, headers=upload["headers"])
    require(stored.status_code == 200, f"PUT to the presigned URL returned {_s3_error(stored)}")
    again = journey.call_without_key("PUT", upload["url"], content=body, headers=upload["headers"])
    require(again.status_code in (409, 412), f"a second PUT to the same URL returned {_s3_error(again)}, not 412")
    journey.observe("second PUT to a presigned URL", "412 PreconditionFailed", _s3_error(again))
    return "201, the PUT was stored, a second PUT was refused"


def drop(journey: Journey) -> str:
    storage = journey.storage()
    name = f"smoke {journey.token}+é 50%.jpg"
    key, body = f"smoke test/{name}", picture(f"{journey.token} dropped")
    image_id = derived_image_id(storage.uploads_bucket, key)
    made = journey.made["dropped"] = Made(image_id, name, body, key, time.monotonic())
    storage.put_original(key, io.BytesIO(body), content_type="image/jpeg")
    journey.until(
        lambda: journey.call("GET", f"/api/images/{made.image_id}").status_code == 200,
        what="no record appeared for the dropped file",
        seconds=journey.timeout_seconds,
    )
    return "a record appeared for it"


def processing(journey: Journey) -> str:
    if not journey.made:
        raise Blocked("no image was uploaded")
    times, failures = [], []
    for how, made in journey.made.items():
        try:
            times.append(f"{how} {_process(journey, made):.1f} s")
        except StepFailed as error:
            failures.append(f"{how}: {error}")
    require(not failures, "; ".join(failures))
    captions: dict[str, set[str]] = {}
    for made in journey.processed:
        captions.setdefault(made.caption_model, set()).add(made.caption)
    journey.report.model["captions of the same picture"] = "; ".join(
        f"{' / '.join(sorted(texts))} ({model})" for model, texts in captions.items()
    )
    different = [sorted(texts) for texts in captions.values() if len(texts) > 1]
    require(not different, f"one model gave the same picture different captions: {different}")
    return f"{', '.join(times)} from upload to result; caption: “{journey.processed[0].caption}”"


def _process(journey: Journey, made: Made) -> float:
    image = journey.until(
        lambda: _finished(journey, made.image_id),
        what=f"the image is still {_status(journey, made.image_id)}",
        seconds=journey.timeout_seconds,
    )
    seconds = time.monotonic() - made.started
    require(image["status"] == "success", f"the image is {image['status']}: {image['error']}")
    data, metadata = image["data"], image["data"]["metadata"]
    found = (metadata["width"], metadata["height"], metadata["size_bytes"], metadata["sha256"])
    wanted = (WIDTH, HEIGHT, len(made.body), hashlib.sha256(made.body).hexdigest())
    require(found == wanted, f"width, height, size and SHA-256 are {found}, not {wanted}")
    require(metadata["caption"], "there is no caption")
    require(data["original_name"] == made.name, f"the name is {data['original_name']!r}, not {made.name!r}")
    made.data = data
    return seconds


def _finished(journey: Journey, image_id: str) -> dict[str, Any] | None:
    response = journey.call("GET", f"/api/images/{image_id}")
    if response.status_code == 404:
        return None  # the event of the file has not been processed yet
    expect(response, 200)
    image = body_of(response)
    return image if image["status"] in FINISHED else None


def _status(journey: Journey, image_id: str) -> str:
    response = journey.call("GET", f"/api/images/{image_id}")
    return str(body_of(response).get("status")) if response.status_code == 200 else error_code(response) or "?"


def thumbnails(journey: Journey) -> str:
    if not journey.processed:
        raise Blocked("no image was processed")
    sizes = journey.subject.thumbnails or {}
    compared = 0
    for made in journey.processed:
        shown = made.data["thumbnails"]
        require(not sizes or set(shown) == set(sizes), f"the sizes are {sorted(shown)}, not {sorted(sizes)}")
        for size in shown:
            body = _thumbnail(journey, made, size)
            error = thumbnail_error(body, sizes.get(size))
            require(error is None, f"thumbnail {size}: {error}")
            if journey.subject.storage is not None and journey.subject.has_thumbnails_bucket:
                stored = _stored_thumbnail(journey, made, size)
                require(stored == body, f"thumbnail {size}: the bucket has other bytes than the API returns")
                compared += 1
    where = f"{compared} equal to the objects in the bucket" if compared else "the thumbnails bucket was not read"
    return f"upright, of the right size, the same bytes twice; {where}"


def _thumbnail(journey: Journey, made: Made, size: str) -> bytes:
    path = f"/api/images/{made.image_id}/thumbnails/{size}"
    first, second = journey.call("GET", path), journey.call("GET", path)
    for response in (first, second):
        expect(response, 200)
        kind = response.headers.get("content-type", "")
        require(kind in ("image/jpeg", "image/png"), f"thumbnail {size} has the Content-Type {kind!r}")
    require(first.content == second.content, f"thumbnail {size}: two calls returned different bytes")
    length = first.headers.get("content-length")
    require(length in (None, str(len(first.content))), f"thumbnail {size}: Content-Length is {length}")
    known = journey.call("GET", path, headers={"If-None-Match": first.headers.get("etag", "")})
    expect(known, 304)
    return first.content


def _stored_thumbnail(journey: Journey, made: Made, size: str) -> bytes | None:
    storage = journey.storage()
    keys = storage.list_thumbnails(thumbnail_prefix(made.image_id))
    of_size = [key for key in keys if key.rpartition("/")[2].partition(".")[0] == size]
    require(len(of_size) == 1, f"the bucket has {len(of_size)} objects for thumbnail {size}")
    return storage.get_thumbnail(of_size[0])


def original(journey: Journey) -> str:
    if not journey.processed:
        raise Blocked("no image was processed")
    for made in journey.processed:
        response = journey.call("GET", f"/api/images/{made.image_id}/original")
        expect(response, 307)
        fetched = journey.call_without_key("GET", response.headers["location"])
        require(fetched.status_code == 200, f"the presigned URL returned {_s3_error(fetched)}")
        require(fetched.content == made.body, "the original came back with other bytes")
    return "307 to a presigned URL, the same bytes as uploaded"


def listing(journey: Journey) -> str:
    if not journey.processed:
        raise Blocked("no image was processed")
    mine = {made.image_id for made in journey.processed}
    since = min(made.data["created_at"] for made in journey.processed)
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


def patch(journey: Journey) -> str:
    made = journey.need("posted")
    path, title = f"/api/images/{made.image_id}", f"Smoke test {journey.token}"
    stale = journey.call("PATCH", path, json={"title": title}, headers={"If-Match": _MADE_UP_ETAG})
    expect(stale, 412, "precondition_failed")
    etag = made.data["text_etag"]
    changed = journey.json("PATCH", path, json={"title": title, "tags": ["smoke"]}, headers={"If-Match": etag})
    require(changed["data"]["title"] == title, "the title was not changed")
    again = journey.call("PATCH", path, json={"title": "lost"}, headers={"If-Match": etag})
    expect(again, 412, "precondition_failed")
    require(journey.image(made.image_id)["data"]["title"] == title, "the title does not come back")
    return "412 with a wrong ETag, 200 with the right one, 412 with the old one"


def reprocess(journey: Journey) -> str:
    made = journey.need("posted")
    before = journey.image(made.image_id)["data"]
    accepted = journey.call("POST", f"/api/images/{made.image_id}/reprocess")
    expect(accepted, 202)

    def processed_again() -> dict[str, Any] | None:
        image = journey.image(made.image_id)
        newer = image["data"]["processed_at"] not in (None, before["processed_at"])
        return image if image["status"] in FINISHED and (newer or image["status"] == "failed") else None

    what = "the image was not processed again"
    image = journey.until(processed_again, what=what, seconds=journey.timeout_seconds)
    require(image["status"] == "success", f"the image is {image['status']}: {image['error']}")
    data = image["data"]
    metadata = data["metadata"]
    if metadata["caption_model"] == before["metadata"]["caption_model"]:  # else a new model was loaded meanwhile
        require(metadata["caption"] == before["metadata"]["caption"], "the same model gave another caption")
    require(data["title"] == before["title"], "the title was lost")
    made.data = data
    for size in data["thumbnails"]:
        error = thumbnail_error(_thumbnail(journey, made, size), None)
        require(error is None, f"thumbnail {size}: {error}")
    return "the same caption, the title kept, the thumbnails readable"


def cross_origin(journey: Journey) -> str:
    configured = journey.subject.cors_origins
    origin = configured.split(",")[0] if configured else _MADE_UP_ORIGIN
    origin = _MADE_UP_ORIGIN if origin == "*" else origin
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    allowed = journey.call_without_key("OPTIONS", "/api/images", headers=asked).headers.get(_ALLOW_ORIGIN)
    if configured:
        require(allowed in (origin, "*"), f"the API does not let pages of {origin} call it (CorsOrigins)")
        said = "pages of CorsOrigins may call the API"
    else:
        require(allowed is None or allowed != origin, "the API lets pages of any site call it")
        said = "pages of other sites may not call the API"
    if journey.upload_url is None:
        raise Blocked(f"{said}; there is no presigned URL to try")
    asked = {"Origin": journey.subject.origin, "Access-Control-Request-Method": "PUT"}
    asked["Access-Control-Request-Headers"] = "content-type,if-none-match"
    preflight = journey.call_without_key("OPTIONS", journey.upload_url, headers=asked)
    allowed = preflight.headers.get(_ALLOW_ORIGIN)
    require(
        preflight.is_success and allowed in (journey.subject.origin, "*"),
        f"the bucket does not let the gallery upload: its CORS preflight returned {preflight.status_code}, "
        f"{_ALLOW_ORIGIN}: {allowed}",
    )
    return f"{said}; the gallery's page may send files to the bucket"


_ALLOW_ORIGIN = "access-control-allow-origin"


def statistics_count_them(journey: Journey) -> str:
    if not journey.processed:
        raise Blocked("no image was processed")
    return _compare_statistics(journey, added=len(journey.processed))


def delete_by_api(journey: Journey) -> str:
    deleted = []
    for name in ("posted", "presigned"):
        if name not in journey.made:
            continue
        made = journey.made[name]
        path = f"/api/images/{made.image_id}"
        stale = journey.call("DELETE", path, headers={"If-Match": _MADE_UP_ETAG})
        expect(stale, 412, "precondition_failed")
        expect(journey.call("DELETE", path), 204)
        expect(journey.call("GET", path), 404, "not_found")
        _require_gone(journey, made)
        deleted.append(name)
    if not deleted:
        raise Blocked("no image was uploaded")
    return f"412 with a wrong ETag, then 204 and 404; nothing is left of {' and '.join(deleted)}"


def delete_in_bucket(journey: Journey) -> str:
    storage = journey.storage()
    if "dropped" not in journey.made:
        raise Blocked("no file was dropped")
    made = journey.made["dropped"]
    stored = storage.head(made.key)
    if stored is None:
        raise StepFailed("the dropped file is not in the bucket any more")
    storage.delete_original(stored)
    _require_gone(journey, made, seconds=journey.timeout_seconds)
    return "the record and the thumbnails of the deleted file are gone"


def _require_gone(journey: Journey, made: Made, seconds: float = 30.0) -> None:
    try:
        journey.until(lambda: journey.is_gone(made), what="deletion", seconds=seconds)
    except StepFailed as error:
        raise StepFailed(f"{'; '.join(journey.remains(made))} after {seconds:.0f} s") from error
    made.is_deleted = True


def statistics_are_back(journey: Journey) -> str:
    if not journey.made:
        raise Blocked("no image was uploaded")
    if not all(made.is_deleted for made in journey.made.values()):
        raise Blocked("not every image was deleted")
    return _compare_statistics(journey, added=0)


def _compare_statistics(journey: Journey, *, added: int) -> str:
    before = journey.stats_before
    if before is None:
        raise Blocked("the statistics of the beginning are not known")
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
        journey.until(lambda: counted() == wanted, what="statistics", seconds=5)
    except StepFailed as error:
        if journey.someone_else_is_active():
            raise Skipped("others used the stack at the same time, so the numbers cannot be compared") from error
        raise StepFailed(f"the statistics are {counted()}, not {wanted}") from error
    return f"exactly {added} more than before" if added else "exactly as before"


def nothing_is_left(journey: Journey) -> str:
    """The last step, after the cleanup: it runs whatever happened before."""
    left = {made.name: journey.remains(made) for made in journey.made.values()}
    faults = [f"{name}: {', '.join(what)}" for name, what in left.items() if what]
    listed = journey.json("GET", "/api/images", params={"limit": 100})
    faults += [
        f"{item['data']['original_name']} is still listed"
        for item in listed["data"]
        if journey.token in str(item["data"]["original_name"])
    ]
    require(not faults, "; ".join(faults))
    what = "record, object or thumbnail" if journey.subject.storage else "image"
    return f"no {what} of {len(journey.made)} is left; the bucket keeps old versions"


def _s3_error(response: Any) -> str:
    """Status and S3's error code, which is in XML."""
    _, found, rest = response.text.partition("<Code>")
    return f"{response.status_code} {rest.partition('</Code>')[0]}" if found else str(response.status_code)


STEPS: tuple[tuple[str, Step], ...] = (
    ("health and limits", health),
    ("401 without a key", unauthorized),
    ("statistics before", statistics_before),
    ("POST an image", post),
    ("presigned PUT", presigned_put),
    ("drop a file into the bucket", drop),
    ("processing and captions", processing),
    ("thumbnails, byte for byte", thumbnails),
    ("original, byte for byte", original),
    ("list with a cursor", listing),
    ("statistics count the images", statistics_count_them),
    ("PATCH with If-Match", patch),
    ("reprocess", reprocess),
    ("HEAD", head_responses),
    ("CORS", cross_origin),
    ("error responses", error_responses),
    ("deletion through the API", delete_by_api),
    ("deletion in the bucket", delete_in_bucket),
    ("statistics are back", statistics_are_back),
)
LAST_STEP: tuple[str, Step] = ("nothing is left behind", nothing_is_left)
