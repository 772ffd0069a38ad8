"""Steps that upload an image in each of the three ways, and wait until it is processed."""

from __future__ import annotations

import hashlib
import io
import time
from typing import Any

from image_core.keys import derived_image_id, upload_key
from ops.smoke.journey import (
    FINISHED,
    Blocked,
    Journey,
    StepFailed,
    UploadedImage,
    body_of,
    error_code,
    expect,
    require,
)
from ops.smoke.picture import HEIGHT, WIDTH, picture


def post(journey: Journey) -> str:
    """Post an image as a multipart form."""
    name, body = f"smoke-{journey.token}-é.jpg", picture(f"{journey.token} posted")
    started = time.monotonic()
    response = journey.call("POST", "/api/images", files={"file": (name, body, "image/jpeg")})
    expect(response, 202)
    accepted = body_of(response)
    image_id = str(accepted["image_id"])
    journey.images["posted"] = UploadedImage(image_id, name, body, upload_key(image_id, name), started)
    require(
        response.headers.get("location", "").endswith(f"/api/images/{image_id}"), "Location does not name the image"
    )
    require(
        accepted["data"]["original_name"] == name, f"the returned name is {accepted['data']['original_name']!r}"
    )
    return f"202, status {accepted['status']}"


def presigned_put(journey: Journey) -> str:
    """Reserve an upload and send it to its presigned URL, which works only once."""
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
    journey.images["presigned"] = UploadedImage(image_id, name, body, upload_key(image_id, name), started)
    journey.upload_url = upload["url"]
    if journey.subject.is_aws:  # an emulator may store a file that S3 rejects
        other = upload["headers"] | {"Content-Type": "image/png"}
        refused = journey.call_without_key("PUT", upload["url"], content=body, headers=other)
        journey.observe("PUT to a presigned URL with another type", "403 SignatureDoesNotMatch", s3_error(refused))
    stored = journey.call_without_key("PUT", upload["url"], content=body, headers=upload["headers"])
    require(stored.status_code == 200, f"PUT to the presigned URL returned {s3_error(stored)}")
    again = journey.call_without_key("PUT", upload["url"], content=body, headers=upload["headers"])
    require(again.status_code in (409, 412), f"a second PUT to the same URL returned {s3_error(again)}, not 412")
    journey.observe("second PUT to a presigned URL", "412 PreconditionFailed", s3_error(again))
    return "201, the PUT was stored, a second PUT was rejected"


def drop(journey: Journey) -> str:
    """Put a file into the bucket under a key with spaces, `+`, `%` and an accent, and wait for its record."""
    storage = journey.storage()
    name = f"smoke {journey.token}+é 50%.jpg"
    key, body = f"smoke test/{name}", picture(f"{journey.token} dropped")
    image_id = derived_image_id(storage.uploads_bucket, key)
    image = journey.images["dropped"] = UploadedImage(image_id, name, body, key, time.monotonic())
    storage.put_original(key, io.BytesIO(body), content_type="image/jpeg")
    journey.until(
        lambda: journey.call("GET", f"/api/images/{image.image_id}").status_code == 200,
        what="no record appeared for the dropped file",
        seconds=journey.timeout_seconds,
    )
    return "a record appeared for it"


def processing(journey: Journey) -> str:
    """Wait until every image is `success`, with metadata and caption."""
    if not journey.images:
        raise Blocked("no image was uploaded")
    times, failures = [], []
    for how, image in journey.images.items():
        try:
            times.append(f"{how} {_process(journey, image):.1f} s")
        except StepFailed as error:
            failures.append(f"{how}: {error}")
    require(not failures, "; ".join(failures))
    captions: dict[str, set[str]] = {}
    for image in journey.processed:
        captions.setdefault(image.caption_model, set()).add(image.caption)
    journey.report.model["captions of the same picture"] = "; ".join(
        f"{' / '.join(sorted(texts))} ({model})" for model, texts in captions.items()
    )
    different = [sorted(texts) for texts in captions.values() if len(texts) > 1]
    require(not different, f"one model gave the same picture different captions: {different}")
    return f"{', '.join(times)} from upload to result; caption: “{journey.processed[0].caption}”"


def _process(journey: Journey, uploaded: UploadedImage) -> float:
    image = journey.until(
        lambda: _finished(journey, uploaded.image_id),
        what=f"the image is still {_status(journey, uploaded.image_id)}",
        seconds=journey.timeout_seconds,
    )
    seconds = time.monotonic() - uploaded.started
    require(image["status"] == "success", f"the image is {image['status']}: {image['error']}")
    data, metadata = image["data"], image["data"]["metadata"]
    found = (metadata["width"], metadata["height"], metadata["size_bytes"], metadata["sha256"])
    wanted = (WIDTH, HEIGHT, len(uploaded.body), hashlib.sha256(uploaded.body).hexdigest())
    require(found == wanted, f"width, height, size and SHA-256 are {found}, not {wanted}")
    require(metadata["caption"], "there is no caption")
    require(data["original_name"] == uploaded.name, f"the name is {data['original_name']!r}, not {uploaded.name!r}")
    uploaded.data = data
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


def s3_error(response: Any) -> str:
    """Status and S3's error code, which is in the XML body."""
    _, found, rest = response.text.partition("<Code>")
    return f"{response.status_code} {rest.partition('</Code>')[0]}" if found else str(response.status_code)
