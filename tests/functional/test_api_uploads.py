"""POST /api/images and POST /api/uploads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from image_core.keys import is_image_id
from image_core.model import Status
from tests import pictures
from tests.events import Event, load
from tests.functional.emulator import Stack, done_but_raising, preceded_by, raising
from tests.functional.http_api import BASE, BOUNDARY, Api, multipart, request, upload_event
from tests.functional.images import LEASE_SECONDS

GARBAGE = b"\xff\xd8\xff\xe0" + b"garbage" * 50


def test_an_upload_is_accepted_and_returns_its_record_and_location(stack: Stack, api: Api) -> None:
    response = api.send(load("http_post_multipart.json"))
    image_id = response.json()["image_id"]
    assert response.status == 202
    assert is_image_id(image_id)
    assert response.headers["location"] == f"{BASE}/api/images/{image_id}"
    assert response.json() == {
        "image_id": image_id,
        "status": "pending",
        "data": {
            "image_id": image_id,
            "original_name": "my photo+1 é.png",
            "title": None,
            "alt_text": None,
            "alt_text_source": None,
            "tags": [],
            "text_etag": '"abb3cf2ec145846ceb808e742344d78f"',
            "content_type": "image/png",
            "source": "api",
            "created_at": "2026-11-20T10:00:00Z",
            "processed_at": None,
            "generation": 1,
            "processing_time_seconds": None,
            "metadata": None,
            "thumbnails": None,
            "renditions": None,
            "stages": {"metadata": "pending", "thumbnails": "pending", "caption": "pending"},
        },
        "error": None,
    }


def test_an_upload_stores_the_exact_bytes(stack: Stack, api: Api) -> None:
    body = pictures.encode(pictures.noise(64, 64), "PNG")
    image_id = api.upload(body, "my photo+1 é.png").json()["image_id"]
    stored = stack.s3.get_object(Bucket=stack.uploads_bucket, Key=f"uploads/{image_id}/my photo+1 é.png")
    assert stored["Body"].read() == body
    assert stored["ContentType"] == "image/png"


def test_an_upload_is_counted_and_listed_at_once(stack: Stack, api: Api) -> None:
    first = api.upload(pictures.jpeg()).json()["image_id"]
    assert stack.counts() == {"pending": 1}
    assert [image["data"]["image_id"] for image in api.get("/api/images").json()["data"]] == [first]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (pictures.jpeg(), "image/jpeg"),
        (pictures.png(), "image/png"),
        (pictures.encode(pictures.scene(), "GIF"), "image/gif"),
        (pictures.encode(pictures.scene(), "WEBP"), "image/webp"),
        (pictures.encode(pictures.scene(), "TIFF"), "image/tiff"),
        (pictures.encode(pictures.scene(), "BMP"), "image/bmp"),
        (pictures.encode(pictures.scene(), "AVIF"), "image/avif"),
        (pictures.heic(), "image/heic"),
        (pictures.animated("PNG"), "image/png"),
    ],
    ids=["jpeg", "png", "gif", "webp", "tiff", "bmp", "avif", "heic", "apng"],
)
def test_the_bytes_decide_the_format_not_the_name_or_declared_type(api: Api, body: bytes, media_type: str) -> None:
    response = api.upload(body, "report.pdf", "application/pdf")
    assert response.status == 202
    assert response.json()["data"]["content_type"] == media_type


@pytest.mark.parametrize(
    "body",
    [pictures.TEXT, pictures.SVG, pictures.PDF, b"\x00", b"\xff\xd8"],
    ids=["text", "svg", "pdf", "nul", "cut"],
)
def test_a_file_that_is_not_an_image_is_refused_whatever_its_name(stack: Stack, api: Api, body: bytes) -> None:
    response = api.upload(body, "photo.jpg", "image/jpeg")
    assert (response.status, response.code) == (400, "unsupported_format")
    assert stack.every() == []
    assert stack.originals() == set()


def test_the_error_for_a_disallowed_format_names_it(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(allowed_formats="jpeg,webp")
    api = Api(stack.services)
    wanted = {"filename": "photo", "size": 9}

    assert api.upload(pictures.jpeg()).status == 202
    for response in (
        api.upload(pictures.png()),
        api.post_json("/api/uploads", wanted | {"content_type": "image/png"}),
    ):
        assert (response.status, response.code) == (400, "unsupported_format")
        assert response.json()["error"]["message"] == "Supported formats: JPEG, WebP."
    assert api.post_json("/api/uploads", wanted | {"content_type": "image/webp"}).status == 201


def test_hostile_bytes_with_a_valid_signature_are_left_to_the_processor(api: Api) -> None:
    assert api.upload(GARBAGE).status == 202


def test_an_empty_file_is_refused(stack: Stack, api: Api) -> None:
    response = api.upload(b"")
    assert (response.status, response.code) == (400, "empty_file")
    assert stack.every() == []


@pytest.mark.parametrize(
    "event",
    [
        request("http_post_multipart.json", "/api/images", body=f"--{BOUNDARY}--\r\n".encode()),
        request("http_post_multipart.json", "/api/images", body=multipart(b"x", "a.jpg", "image/jpeg", "picture")),
        request("http_post_multipart.json", "/api/images", body=b""),
    ],
    ids=["empty form", "another field", "no form"],
)
def test_a_call_without_a_file_is_invalid(stack: Stack, api: Api, event: Event) -> None:
    response = api.send(event)
    assert (response.status, response.code) == (422, "invalid_request")
    assert stack.every() == []


@pytest.mark.parametrize(
    "event",
    [
        request("http_post_json.json", "/api/images", body=b'{"file": "photo.jpg"}'),
        request("http_post_empty.json", "/api/images"),
        request("http_post_multipart.json", "/api/images", headers={"content-type": "image/jpeg"}),
        request("http_post_multipart.json", "/api/images", headers={"content-type": ";;"}),
        request("http_post_json.json", "/api/uploads", headers={"content-type": "text/plain"}),
        request(
            "http_post_json.json", "/api/uploads", headers={"content-type": "application/x-www-form-urlencoded"}
        ),
        request("http_post_empty.json", "/api/uploads"),
    ],
)
def test_the_error_for_an_unsupported_content_type_names_the_supported_one(
    stack: Stack, api: Api, event: Event
) -> None:
    response = api.send(event)
    assert (response.status, response.code) == (415, "unsupported_media_type")
    media_type = "application/json" if event["rawPath"] == "/api/uploads" else "multipart/form-data"
    assert media_type in response.json()["error"]["message"]
    assert stack.every() == []


@pytest.mark.parametrize("cut", [10, 60, 200])
def test_a_truncated_form_is_refused(stack: Stack, api: Api, cut: int) -> None:
    form = multipart(pictures.jpeg(), "photo.jpg", "image/jpeg")[:cut]
    response = api.send(request("http_post_multipart.json", "/api/images", body=form))
    assert (response.status, response.code) == (422, "invalid_request")
    assert stack.every() == []


@pytest.mark.parametrize("declares_its_length", [True, False])
@pytest.mark.parametrize("excess", [1, 1_000_000])
def test_the_error_for_a_large_file_names_the_limit_and_the_alternative(
    make_stack: Callable[..., Stack], declares_its_length: bool, excess: int
) -> None:
    stack = make_stack(max_post_bytes=100_000)
    event = upload_event(GARBAGE + bytes(100_000 - len(GARBAGE) + excess))
    if not declares_its_length:
        del event["headers"]["content-length"]
    response = Api(stack.services).send(event)
    assert (response.status, response.code) == (413, "too_large")
    assert "100,000 bytes" in response.json()["error"]["message"]
    assert "POST /api/uploads" in response.json()["error"]["message"]
    assert "50,000,000 bytes" in response.json()["error"]["message"]
    assert stack.every() == []


def test_the_error_for_a_file_over_every_limit_suggests_no_other_call(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(max_post_bytes=100_000, max_image_bytes=100_000)
    api = Api(stack.services)
    wanted = {"filename": "a.jpg", "content_type": "image/jpeg", "size": 100_001}
    for response in (api.upload(GARBAGE + bytes(100_000)), api.post_json("/api/uploads", wanted)):
        assert (response.status, response.code) == (413, "too_large")
        assert "100,000 bytes" in response.json()["error"]["message"]
        assert "Scale the picture down" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/uploads", "/api/images/img_01kb5q3v8n0h2m4x6c8f0a2d4g"])
def test_the_error_for_large_json_names_the_limit_and_where_to_send_files(
    stack: Stack, api: Api, path: str
) -> None:
    method = "POST" if path == "/api/uploads" else "PATCH"
    body = b'{"filename": "' + b"x" * 70_000 + b'"}'
    response = api.send(request("http_post_json.json", path, method=method, body=body))
    assert (response.status, response.code) == (413, "too_large")
    assert "65,536 bytes" in response.json()["error"]["message"]
    assert "POST /api/images" in response.json()["error"]["message"]


def test_a_name_longer_than_the_longest_key_is_refused(stack: Stack, api: Api) -> None:
    response = api.upload(pictures.jpeg(), "x" * 1025)
    assert (response.status, response.code) == (422, "invalid_request")
    assert stack.every() == []


def test_a_file_of_exactly_the_limit_is_accepted(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(max_post_bytes=100_000)
    response = Api(stack.services).upload(GARBAGE + bytes(100_000 - len(GARBAGE)))
    assert response.status == 202


@pytest.mark.parametrize(
    ("name", "last_part"),
    [
        ("../../etc/passwd", "passwd"),
        ("no extension", "no extension"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\U0001f33b.jpg", "\U0001f33b.jpg"),
        ("100% sure%20thing+.jpg", "100% sure%20thing+.jpg"),
        ("x" * 1000 + ".jpg", "x" * 196 + ".jpg"),
    ],
)
def test_any_name_makes_a_harmless_key_and_is_kept(stack: Stack, api: Api, name: str, last_part: str) -> None:
    response = api.upload(pictures.jpeg(), name)
    image_id = response.json()["image_id"]
    assert response.json()["data"]["original_name"] == name
    assert stack.originals() == {f"uploads/{image_id}/{last_part}"}


def test_an_upload_that_cannot_be_stored_is_unavailable_and_its_record_fails(stack: Stack, api: Api) -> None:
    stack.s3.plan("put_object", raising(ConnectionClosedError(endpoint_url="https://s3")))
    response = api.upload(pictures.jpeg())
    record = stack.the_record()
    assert (response.status, response.code) == (503, "unavailable")
    assert record.status is Status.FAILED
    assert record.error is not None and record.error["code"] == "upload_incomplete"
    assert stack.counts() == {"failed": 1}


def test_an_upload_that_was_stored_and_claimed_is_not_failed_by_a_lost_reply(stack: Stack, api: Api) -> None:
    records = stack.other_records()
    lost = ConnectionClosedError(endpoint_url="https://s3")

    def stored_and_claimed(call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        call(**arguments)
        record = stack.the_record()
        stored = stack.services.storage.head(record.key)
        assert stored is not None
        records.claim(record, stored, lease_seconds=LEASE_SECONDS)
        raise lost

    stack.s3.plan("put_object", stored_and_claimed)
    response = api.upload(pictures.jpeg())
    assert (response.status, response.code) == (503, "unavailable")
    assert stack.the_record().status is Status.PROCESSING


def test_an_upload_that_cannot_be_recorded_stores_no_object(stack: Stack, api: Api) -> None:
    stack.dynamodb.plan("transact_write_items", raising(ConnectionClosedError(endpoint_url="https://dynamodb")))
    response = api.upload(pictures.jpeg())
    assert (response.status, response.code) == (503, "unavailable")
    assert stack.originals() == set()


def test_an_upload_is_retried_after_a_conflict_as_aws_advises(stack: Stack, api: Api) -> None:
    conflict = ClientError({"Error": {"Code": "ConditionalRequestConflict", "Message": ""}}, "PutObject")
    stack.s3.plan("put_object", raising(conflict), raising(conflict))
    response = api.upload(pictures.jpeg())
    assert response.status == 202
    (key,) = stack.originals()
    assert stack.services.storage.head(key).size_bytes == len(pictures.jpeg())  # type: ignore[union-attr]


def test_the_record_is_written_before_the_object(stack: Stack, api: Api) -> None:
    found: list[int] = []
    stack.s3.plan("put_object", preceded_by(lambda: found.append(len(stack.every()))))
    api.upload(pictures.jpeg())
    assert found == [1]


# Presigned uploads


def test_a_reservation_returns_the_request_to_send(stack: Stack, api: Api) -> None:
    response = api.send(load("http_post_json.json"))
    reserved = response.json()
    url = urlsplit(reserved["upload"]["url"])
    assert response.status == 201
    assert set(reserved) == {"image_id", "upload", "expires_at"}
    assert reserved["expires_at"] == "2026-11-20T10:15:00Z"
    assert reserved["upload"]["method"] == "PUT"
    assert reserved["upload"]["headers"] == {
        "Content-Type": "image/jpeg",
        "Content-Length": "12345",
        "If-None-Match": "*",
    }
    assert unquote(url.path) == f"/{stack.uploads_bucket}/uploads/{reserved['image_id']}/my photo+1 é.jpg"
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match" in url.query


def test_a_reservation_is_pending_and_neither_listed_nor_counted(stack: Stack, api: Api) -> None:
    image_id = api.send(load("http_post_json.json")).json()["image_id"]
    reservation = api.get(f"/api/images/{image_id}")
    assert (reservation.status, reservation.json()["status"]) == (200, "pending")
    assert reservation.json()["data"]["original_name"] == "my photo+1 é.jpg"
    assert api.get("/api/images").json()["data"] == []
    assert api.get("/api/images", "status=pending").json()["data"] == []
    assert api.get("/api/stats").json()["total"] == 0
    assert stack.counts() == {}


def test_a_reservation_outlives_its_url_by_the_pending_timeout(stack: Stack, api: Api) -> None:
    api.send(load("http_post_json.json"))
    assert stack.the_record().deadline == stack.clock.now_ms + (900 + 30) * 1000


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"size": 0}, 400, "empty_file"),
        ({"size": 50_000_001}, 413, "too_large"),
        ({"size": 10**30}, 413, "too_large"),
        ({"size": -1}, 422, "invalid_request"),
        ({"size": "many"}, 422, "invalid_request"),
        ({"size": "5"}, 422, "invalid_request"),
        ({"size": 5.5}, 422, "invalid_request"),
        ({"size": True}, 422, "invalid_request"),
        ({"sha256": "0" * 63}, 422, "invalid_request"),
        ({"sha256": "g" * 64}, 422, "invalid_request"),
        ({"sha_256": "0" * 64}, 422, "invalid_request"),
        ({"content_type": "application/pdf"}, 400, "unsupported_format"),
        ({"content_type": "image/svg+xml"}, 400, "unsupported_format"),
        ({"content_type": None}, 422, "invalid_request"),
        ({"filename": "x" * 1025}, 422, "invalid_request"),
        ({"filename": "lone\ud800surrogate"}, 422, "invalid_request"),
    ],
)
def test_a_reservation_for_an_unacceptable_file_is_refused(
    stack: Stack, api: Api, wanted: dict[str, Any], status: int, code: str
) -> None:
    asked = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": 5} | wanted
    response = api.post_json("/api/uploads", asked)
    assert (response.status, response.code) == (status, code)
    assert stack.every() == []


@pytest.mark.parametrize("size", [50_000_000, 5.0])
def test_the_largest_size_and_any_whole_number_can_be_reserved(api: Api, size: float) -> None:
    asked = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": size}
    assert api.post_json("/api/uploads", asked).status == 201


def test_an_announced_checksum_is_stored_and_among_the_headers_to_send(stack: Stack, api: Api) -> None:
    sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
    asked = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": 5, "sha256": sha256}
    upload = api.post_json("/api/uploads", asked).json()["upload"]
    assert upload["headers"]["x-amz-checksum-sha256"] == "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
    assert "x-amz-checksum-sha256" in parse_qs(urlsplit(upload["url"]).query)["X-Amz-SignedHeaders"][0]
    assert stack.the_record().announced_sha256 == sha256.lower()


def test_the_presigned_request_is_accepted_once(stack: Stack, api: Api) -> None:
    asked = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": 5}
    upload = api.post_json("/api/uploads", asked).json()["upload"]
    sent = [httpx.put(upload["url"], headers=upload["headers"], content=b"12345") for _ in range(2)]
    assert [response.status_code for response in sent] == [200, 412]


@pytest.mark.parametrize("body", [b"{nope", b"[]", b"null", b'"text"', b""])
def test_a_reservation_that_is_not_a_json_object_is_invalid(api: Api, body: bytes) -> None:
    response = api.send(request("http_post_json.json", "/api/uploads", body=body))
    assert (response.status, response.code) == (422, "invalid_request")


def test_a_reservation_succeeds_if_its_record_was_written_but_the_reply_was_lost(stack: Stack, api: Api) -> None:
    stack.dynamodb.plan("put_item", done_but_raising(ConnectionClosedError(endpoint_url="https://dynamodb")))
    response = api.send(load("http_post_json.json"))
    assert (response.status, response.code) == (503, "unavailable")
    assert stack.counts() == {}
    assert stack.the_record().status is Status.RESERVED
