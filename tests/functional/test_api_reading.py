"""GET requests: records, lists, thumbnails, originals, statistics, and the service itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.exceptions import ClientError

from image_core.errors import CorruptImage, UploadIncomplete
from image_core.model import PUBLIC_STATUSES, ModelQuality, NextModel, Status
from image_core.stores.images import Records
from tests.events import load
from tests.functional.emulator import Stack, preceded_by, raising
from tests.functional.http_api import BASE, HOST, Api
from tests.functional.images import (
    DIGEST,
    LEASE_SECONDS,
    METADATA,
    attempt_thumbnails,
    image_in,
    new_record,
    outcome,
    stored_image,
    stored_object,
)


def test_an_image_is_returned_with_all_fields(stack: Stack, api: Api) -> None:
    stack.clock.advance(1)
    record = stored_image(stack, Status.SUCCESS, original_name="my photo+1 é.jpg", source="bucket")
    response = api.get(f"/api/images/{record.image_id}")
    thumbnails = f"{BASE}/api/images/{record.image_id}/thumbnails"
    assert response.status == 200
    assert response.json() == {
        "status": "success",
        "data": {
            "image_id": record.image_id,
            "original_name": "my photo+1 é.jpg",
            "title": None,
            "alt_text": None,
            "alt_text_source": None,
            "tags": [],
            "text_etag": '"abb3cf2ec145846ceb808e742344d78f"',
            "content_type": "image/jpeg",
            "source": "bucket",
            "created_at": "2026-11-20T10:00:01Z",
            "processed_at": "2026-11-20T10:00:01Z",
            "generation": 1,
            "processing_time_seconds": 0.42,
            "metadata": METADATA
            | {
                "warnings": [],
                "caption": "a photo of a red square",
                "caption_model": "fake@1",
                "caption_confidence": 0.8765,
                "caption_flags": ["low_confidence"],
                "caption_language": "en",
            },
            "thumbnails": {"small": f"{thumbnails}/small?v={DIGEST}", "medium": f"{thumbnails}/medium?v={DIGEST}"},
            "renditions": [
                {
                    "name": size,
                    "url": f"{thumbnails}/{size}?v={DIGEST}",
                    "width": 150,
                    "height": 100,
                    "bytes": 100,
                    "format": "jpeg",
                }
                for size in ("small", "medium")
            ],
            "stages": {"metadata": "done", "thumbnails": "done", "caption": "done"},
        },
        "error": None,
    }


def test_a_failed_image_has_its_error_and_existing_results(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.FAILED)
    body = api.get(f"/api/images/{record.image_id}").json()
    assert body["status"] == "failed"
    assert body["error"] == {"code": "caption_failed", "message": "The image could not be captioned."}
    assert body["data"]["thumbnails"] is not None
    assert body["data"]["metadata"]["caption"] is None
    assert body["data"]["stages"] == {"metadata": "done", "thumbnails": "done", "caption": "failed"}


def test_an_image_being_captioned_already_has_its_thumbnails(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.PROCESSING)
    body = api.get(f"/api/images/{record.image_id}").json()
    assert (body["status"], body["error"]) == ("processing", None)
    assert body["data"]["stages"] == {"metadata": "done", "thumbnails": "done", "caption": "pending"}
    assert api.get(urlsplit(body["data"]["thumbnails"]["small"]).path).status == 200


def test_metadata_that_an_older_version_did_not_record_are_null(stack: Stack, api: Api) -> None:
    claimed = image_in(stack.records, Status.PROCESSING)
    older = {name: METADATA[name] for name in ("width", "height", "format", "size_bytes", "sha256", "exif")}
    stack.records.save(claimed, metadata=older, thumbnails=attempt_thumbnails(claimed))
    metadata = api.get(f"/api/images/{claimed.image_id}").json()["data"]["metadata"]
    unknown = dict.fromkeys(METADATA.keys() - older.keys())
    no_caption = dict.fromkeys(
        ("caption", "caption_model", "caption_confidence", "caption_flags", "caption_language")
    )
    assert metadata == older | unknown | no_caption | {"warnings": []}


@pytest.mark.parametrize("expose_gps", [True, False])
def test_the_position_is_returned_only_if_configured(make_stack: Callable[..., Stack], expose_gps: bool) -> None:
    stack = make_stack(expose_gps=expose_gps)
    claimed = image_in(stack.records, Status.PROCESSING)
    gps = {"latitude": 52.51, "longitude": 13.37}
    stack.records.save(claimed, metadata=METADATA | {"gps": gps}, thumbnails=attempt_thumbnails(claimed))
    metadata = Api(stack.services).get(f"/api/images/{claimed.image_id}").json()["data"]["metadata"]
    assert metadata.get("gps") == (gps if expose_gps else None)


def test_urls_use_the_host_of_the_request(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    response = api.get(path, host="images.example.org", x_forwarded_proto="http")
    assert (
        response.json()["data"]["thumbnails"]["small"]
        == f"http://images.example.org{path}/thumbnails/small?v={DIGEST}"
    )


@pytest.mark.parametrize(
    "image_id", ["img_01kb5q3v8n0h2m4x6c8f0a2d4g", "img_short", "..", "%2e%2e", "é", "x" * 500]
)
def test_an_unknown_image_is_not_found(api: Api, image_id: str) -> None:
    for rest in ("", "/thumbnails/small", "/original", "/original/address"):
        response = api.get(f"/api/images/{image_id}{rest}")
        assert (response.status, response.code) == (404, "not_found")


def test_an_image_that_is_being_deleted_is_not_found(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.DELETING)
    for path in ("", "/thumbnails/small", "/original", "/original/address"):
        response = api.get(f"/api/images/{record.image_id}{path}")
        assert (response.status, response.code) == (404, "not_found")


# The list


def test_the_list_contains_the_same_body_as_each_image(stack: Stack, api: Api) -> None:
    created: list[str] = []
    for status in PUBLIC_STATUSES:
        created.insert(0, image_in(stack.records, status).image_id)
        stack.clock.advance(1)
    bodies = [api.get(f"/api/images/{image_id}").json() for image_id in created]
    for body in bodies:  # the images have the same bytes, but the list does not look up duplicates
        (body["data"]["metadata"] or {}).pop("duplicate_of", None)
    response = api.get("/api/images")
    assert response.status == 200
    assert response.json() == {
        "status": "success",
        "data": bodies,
        "next_cursor": None,
        "warnings": [],
        "review_count": None,
        "error": None,
    }


def test_the_cursor_continues_the_list_of_a_status(stack: Stack, api: Api) -> None:
    for _ in range(3):
        image_in(stack.records, Status.SUCCESS)
        image_in(stack.records, Status.PENDING)
        stack.clock.advance(1)
    first = api.send(load("http_get.json")).json()
    second = api.get("/api/images", f"limit=2&status=success&cursor={first['next_cursor']}").json()
    assert [len(first["data"]), len(second["data"])] == [2, 1]
    assert {image["status"] for image in first["data"] + second["data"]} == {"success"}
    assert second["next_cursor"] is None


def test_a_page_has_twenty_images_by_default(stack: Stack, api: Api) -> None:
    for _ in range(21):
        stack.records.create(new_record(stack.records))
    assert len(api.get("/api/images").json()["data"]) == 20
    assert len(api.get("/api/images", "limit=100").json()["data"]) == 21


@pytest.mark.parametrize("query", ["cursor=", "cursor=x", "cursor=%00", "cursor=%C3%A9", "cursor=" + "A" * 2048])
def test_a_forged_cursor_is_refused(api: Api, query: str) -> None:
    response = api.get("/api/images", query)
    assert (response.status, response.code) == (400, "bad_cursor")


def test_a_cursor_of_another_list_is_refused(stack: Stack, api: Api) -> None:
    for _ in range(2):
        image_in(stack.records, Status.PENDING)
    cursor = api.get("/api/images", "limit=1").json()["next_cursor"]
    response = api.get("/api/images", f"limit=1&status=pending&cursor={cursor}")
    assert (response.status, response.code) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=ten",
        "limit=",
        "status=reserved",
        "status=deleting",
        "status=x",
        "status=",
        "cursor=" + "A" * 2049,
        "q=",
        "q=" + "a" * 201,
    ],
)
def test_an_invalid_query_is_refused(api: Api, query: str) -> None:
    response = api.get("/api/images", query)
    assert (response.status, response.code) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("created_after=2026-11-20T10:00:01Z", [2, 1]),
        ("created_before=2026-11-20T10:00:01Z", [0]),
        ("created_after=2026-11-20T10:00:00.5Z&created_before=2026-11-20T10:00:02Z", [1]),
        ("created_after=2026-11-20T12:00:01%2B02:00", [2, 1]),
        ("created_after=2026-11-20t09:00:01-01:00", [2, 1]),
        ("created_after=0001-01-01T00:00:00Z", [2, 1, 0]),
        ("created_before=9999-12-31T23:59:59.999999Z&status=pending", [2, 1, 0]),
        ("created_before=9999-12-31T23:59:59-23:59", [2, 1, 0]),
        ("created_after=2026-11-20T10:00:01Z&status=success", []),
        ("created_after=2026-11-20T10:00:02Z&created_before=2026-11-20T10:00:01Z", []),
    ],
)
def test_a_list_can_be_filtered_by_time(stack: Stack, api: Api, query: str, found: list[int]) -> None:
    created = []
    for _ in range(3):
        created.append(image_in(stack.records, Status.PENDING).image_id)
        stack.clock.advance(1)
    response = api.get("/api/images", query)
    assert response.status == 200, response.body
    assert [created.index(image["data"]["image_id"]) for image in response.json()["data"]] == found


@pytest.mark.parametrize(
    "time",
    [
        "",
        "yesterday",
        "1795168800",
        "2026-11-20",
        "2026-11-20T10:00:00",
        "2026-11-20 10:00:00Z",
        "2026-11-20_10:00:00Z",
        "2026-11-20T10:00:00+02:00",
        "2026-13-20T10:00:00Z",
        "2026-11-20T25:00:00Z",
        "0000-01-01T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-11-20T10:00:00%2B99:00",
        "٢٠٢٦-11-20T10:00:00Z",
    ],
)
@pytest.mark.parametrize("name", ["created_after", "created_before"])
def test_the_error_for_an_invalid_time_shows_the_format(api: Api, name: str, time: str) -> None:
    response = api.get("/api/images", f"{name}={time}")
    assert (response.status, response.code) == (422, "invalid_request")
    assert name in response.json()["error"]["message"]
    assert "2026-11-20T10:00:00Z" in response.json()["error"]["message"]


# Thumbnails


@pytest.mark.parametrize("size", ["small", "medium"])
def test_a_thumbnail_is_returned_as_its_bytes(stack: Stack, api: Api, size: str) -> None:
    record = stored_image(stack, Status.SUCCESS)
    response = api.get(f"/api/images/{record.image_id}/thumbnails/{size}")
    assert response.status == 200
    assert record.thumbnails is not None
    assert response.body == f"{size} of {record.thumbnails.attempt}".encode()
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"] == "private, no-cache"


def test_a_thumbnail_with_its_digest_is_kept_by_caches_forever(stack: Stack, api: Api) -> None:
    path = f"/api/images/{stored_image(stack, Status.SUCCESS).image_id}/thumbnails/small"

    current, outdated = api.get(path, f"v={DIGEST}"), api.get(path, "v=4567")
    known = api.get(path, f"v={DIGEST}", if_none_match=current.headers["etag"])

    assert (current.status, known.status, outdated.status) == (200, 304, 200)
    for response in (current, known):
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert outdated.headers["cache-control"] == "private, no-cache", "it is not the picture of that digest"


def test_a_thumbnail_of_an_older_version_has_no_digest(stack: Stack, api: Api) -> None:
    claimed = image_in(stack.records, Status.PROCESSING)
    older = {
        size: replace(info, key=info.key.removesuffix(f".{DIGEST}"))
        for size, info in attempt_thumbnails(claimed).items()
    }
    stack.records.save(claimed, metadata=METADATA, thumbnails=older)
    assert api.get(f"/api/images/{claimed.image_id}").json()["data"]["thumbnails"]["small"].endswith("/small")


def test_a_known_thumbnail_gets_304(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}/thumbnails/small"
    etag = api.get(path).headers["etag"]
    for header in (etag, f"W/{etag}", f'"other", {etag}'):
        response = api.get(path, if_none_match=header)
        assert (response.status, response.body, response.headers["etag"]) == (304, b"", etag)
    assert api.get(path, if_none_match='"other"').status == 200


def test_each_size_and_each_attempt_has_its_own_etag(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}/thumbnails"
    etags = {api.get(f"{path}/small").headers["etag"], api.get(f"{path}/medium").headers["etag"]}
    again = stack.records.claim(record, stored_object(record, str(record.version)), lease_seconds=LEASE_SECONDS)
    for size, info in attempt_thumbnails(again).items():
        stack.services.storage.put_thumbnail(info.key, size.encode(), content_type="image/jpeg")
    stack.records.save(again, metadata=METADATA, thumbnails=attempt_thumbnails(again))
    etags.add(api.get(f"{path}/small").headers["etag"])
    assert len(etags) == 3


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING, Status.RESERVED])
def test_a_thumbnail_that_does_not_exist_yet_has_retry_after(stack: Stack, api: Api, status: Status) -> None:
    record = image_in(stack.records, status)
    response = api.get(f"/api/images/{record.image_id}/thumbnails/small")
    assert (response.status, response.code) == (409, "not_ready")
    assert int(response.headers["retry-after"]) >= 1


def test_a_failed_image_without_thumbnails_returns_none(stack: Stack, api: Api) -> None:
    record = stack.records.fail(image_in(stack.records, Status.PROCESSING), CorruptImage())
    response = api.get(f"/api/images/{record.image_id}/thumbnails/small")
    assert (response.status, response.code) == (409, "processing_failed")
    assert "retry-after" not in response.headers


def test_the_thumbnails_of_an_image_whose_caption_failed_are_served(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.FAILED)
    assert api.get(f"/api/images/{record.image_id}/thumbnails/small").status == 200


def test_a_thumbnail_replaced_during_the_request_is_read_again(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    other = stack.other_records()

    def replaced() -> None:
        _process_again(stack, other, record.image_id)

    stack.s3.plan("get_object", preceded_by(replaced))
    response = api.get(f"/api/images/{record.image_id}/thumbnails/small")
    assert response.status == 200
    assert response.body == b"small, again"


def _process_again(stack: Stack, records: Records, image_id: str) -> None:
    before = records.get(image_id)
    assert before is not None
    claimed = records.claim(before, stored_object(before, "v2"), lease_seconds=LEASE_SECONDS)
    for size, info in attempt_thumbnails(claimed).items():
        stack.services.storage.put_thumbnail(info.key, f"{size}, again".encode(), content_type="image/jpeg")
    records.finish(records.save(claimed, metadata=METADATA, thumbnails=attempt_thumbnails(claimed)), outcome())
    assert before.thumbnails is not None
    stack.services.storage.delete_thumbnails(info.key for info in before.thumbnails.sizes.values())


# Originals


def test_the_original_is_a_redirect_to_an_attachment(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS, original_name='my "photo"+1 é.jpg')
    response = api.get(f"/api/images/{record.image_id}/original")
    url = urlsplit(response.headers["location"])
    query = parse_qs(url.query)
    assert (response.status, response.body) == (307, b"")
    assert response.headers["cache-control"] == "no-store"
    assert unquote(url.path) == f"/{stack.uploads_bucket}/{record.key}"
    assert query["X-Amz-Expires"] == ["300"]
    assert query["response-content-disposition"] == [
        "attachment; filename=\"my _photo_+1 e.jpg\"; filename*=UTF-8''my%20%22photo%22%2B1%20%C3%A9.jpg"
    ]


def test_the_url_of_the_original_can_be_returned_without_a_redirect(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}/original"
    response = api.get(f"{path}/address")

    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    address, redirected = urlsplit(response.json()["data"]["url"]), urlsplit(api.get(path).headers["location"])
    assert (address.netloc, address.path) == (redirected.netloc, redirected.path)
    assert parse_qs(address.query).keys() == parse_qs(redirected.query).keys()


def test_the_original_is_available_as_soon_as_it_has_arrived(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.PENDING)
    assert api.get(f"/api/images/{record.image_id}/original").status == 307


def test_an_original_that_has_not_arrived_yet_has_retry_after(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.RESERVED)
    response = api.get(f"/api/images/{record.image_id}/original")
    assert (response.status, response.code) == (409, "not_ready")
    assert int(response.headers["retry-after"]) >= 1


def test_an_original_that_never_arrived_is_not_found(stack: Stack, api: Api) -> None:
    record = stack.records.give_up(image_in(stack.records, Status.PENDING), None, UploadIncomplete())
    response = api.get(f"/api/images/{record.image_id}/original")
    assert (response.status, response.code) == (404, "not_found")


# Statistics and the service


def test_statistics_of_an_empty_stack_are_all_zero(api: Api) -> None:
    assert api.get("/api/stats").json() == {
        "total": 0,
        "in_progress": 0,
        "success": 0,
        "failed": 0,
        "success_rate": "0.00%",
        "failure_rate": "0.00%",
        "average_processing_time_seconds": None,
        "processing_time_seconds": {"p50": None, "p95": None, "p99": None},
    }


def test_rates_are_based_on_finished_images_and_times_on_successes(stack: Stack, api: Api) -> None:
    for status in (Status.SUCCESS, Status.SUCCESS, Status.FAILED, Status.PENDING, Status.PROCESSING):
        image_in(stack.records, status)
    for hidden in (Status.RESERVED, Status.DELETING):
        image_in(stack.records, hidden)
    stats = api.get("/api/stats").json()
    times = stats.pop("processing_time_seconds")
    assert stats == {
        "total": 5,
        "in_progress": 2,
        "success": 2,
        "failed": 1,
        "success_rate": "66.67%",
        "failure_rate": "33.33%",
        "average_processing_time_seconds": 0.42,
    }
    assert times == {name: pytest.approx(0.42, rel=0.05) for name in ("p50", "p95", "p99")}


def test_health_returns_the_caption_model_in_use_and_the_next_one(stack: Stack, api: Api) -> None:
    assert api.get("/health").json() == {
        "status": "ok",
        "caption_model": None,
        "caption_model_quality": None,
        "next_caption_model": None,
    }
    stack.records.announce_caption_model("demo@1", ModelQuality("int8", 0.998, 0.9998))
    stack.records.announce_next_caption_model(NextModel("Salesforce/blip", 42))
    stack.clock.advance(5)
    assert api.get("/health").json() == {
        "status": "ok",
        "caption_model": "demo@1",
        "caption_model_quality": {"precision": "int8", "identical_captions": 0.998, "equal_tokens": 0.9998},
        "next_caption_model": {"name": "Salesforce/blip", "percent": 42},
    }


def test_health_reads_the_database_at_most_once_in_five_seconds(stack: Stack, api: Api) -> None:
    for seconds, reads in ((0, 1), (4.9, 1), (0.1, 2), (5, 3), (-3600, 4)):
        stack.clock.advance(seconds)
        for _ in range(20):
            assert api.get("/health").status == 200
        assert len(stack.dynamodb.arguments("get_item")) == reads


def test_health_recovers_as_soon_as_the_database_does(stack: Stack, api: Api) -> None:
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "GetItem")
    stack.dynamodb.plan("get_item", raising(throttled))
    assert [api.get("/health").status for _ in range(2)] == [503, 200]


def test_the_index_links_to_everything(api: Api) -> None:
    index = api.get("/").json()
    assert index["documentation"] == f"https://{HOST}/docs"
    assert set(index["endpoints"]) == {"images", "uploads", "stats", "health"}
    for url in (index["documentation"], index["endpoints"]["images"], index["endpoints"]["stats"]):
        assert api.get(urlsplit(url).path).status == 200


@pytest.mark.parametrize(("path", "text"), [("/docs", "swagger"), ("/openapi.json", "openapi")])
def test_the_documentation_is_served(api: Api, path: str, text: str) -> None:
    response = api.get(path)
    assert response.status == 200
    assert text in response.body.decode().lower()
