"""Headers of every response, conditional requests, and HEAD."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from image_core.errors import CorruptImage
from image_core.model import Status
from tests import pictures
from tests.functional.emulator import Stack, raising
from tests.functional.http_api import Api, Response, request
from tests.functional.images import image_in, stored_image

GETTABLE = ["/", "/health", "/api/stats", "/api/images", "{image}", "{image}/thumbnails/small", "/docs"]
GETTABLE += ["/openapi.json", "{image}/original"]


def path_of(template: str, stack: Stack) -> str:
    return template.format(image=f"/api/images/{stored_image(stack, Status.SUCCESS).image_id}")


def responses(stack: Stack, api: Api) -> dict[str, Response]:
    """Return one response of each kind, by name."""
    image_id = stored_image(stack, Status.SUCCESS).image_id
    path = f"/api/images/{image_id}"
    wanted = {"filename": "a.jpg", "content_type": "image/jpeg", "size": 1}
    return {
        "200": api.get(path),
        "304": api.get(path, if_none_match="*"),
        "thumbnail": api.get(f"{path}/thumbnails/small"),
        "307": api.get(f"{path}/original"),
        "list": api.get("/api/images"),
        "stats": api.get("/api/stats"),
        "openapi": api.get("/openapi.json"),
        "202": api.upload(pictures.jpeg()),
        "201": api.post_json("/api/uploads", wanted),
        "400": api.get("/api/images", "cursor=x"),
        "404": api.get("/nope"),
        "405": api.send(request("http_get.json", "/api/images", method="PUT")),
        "413": api.post_json("/api/uploads", {"filename": "x" * 70_000}),
        "415": api.post("/api/uploads"),
        "422": api.get("/api/images", "limit=0"),
        "204": api.delete(path),
        "500": _failing(stack, api),
    }


def _failing(stack: Stack, api: Api) -> Response:
    stack.dynamodb.plan("query", raising(RuntimeError("unforeseen")))
    return api.get("/api/stats")


def test_every_response_has_a_request_id_a_cache_rule_and_nosniff(stack: Stack, api: Api) -> None:
    for name, response in responses(stack, api).items():
        assert response.status == int(name[:3]) if name[:3].isdigit() else response.status == 200, name
        assert (
            response.headers["x-request-id"] == "JKJaXmPLvHcESHA=" or len(response.headers["x-request-id"]) > 5
        ), name
        assert response.headers["x-content-type-options"] == "nosniff", name
        kept = name in ("200", "304", "thumbnail", "list")
        assert response.headers["cache-control"] == ("private, no-cache" if kept else "no-store"), name


def test_a_response_that_is_not_a_page_runs_and_loads_nothing_in_a_browser(stack: Stack, api: Api) -> None:
    for name, response in responses(stack, api).items():
        assert response.headers["content-security-policy"] == "default-src 'none'; sandbox", name


def test_range_requests_get_the_whole_body(stack: Stack, api: Api) -> None:
    for response in responses(stack, api).values():
        assert "accept-ranges" not in response.headers
        assert "content-range" not in response.headers
    path = path_of("{image}/thumbnails/small", stack)
    whole = api.get(path)
    part = api.get(path, range="bytes=0-3")
    assert (part.status, part.body) == (200, whole.body)


def test_the_request_id_is_the_one_in_api_gateways_access_log(stack: Stack) -> None:
    event = request("http_get.json", "/health")
    api = Api(stack.services)
    raw: dict[str, Any] = api._handler(event, SimpleNamespace(aws_request_id="8e03978e-40d5"))
    assert raw["headers"]["x-request-id"] == event["requestContext"]["requestId"]


def test_the_callers_own_request_id_is_not_used(api: Api) -> None:
    response = api.get("/health", x_request_id="forged\r\nSet-Cookie: x")
    assert "forged" not in str(response.headers)


# HEAD


@pytest.mark.parametrize("template", GETTABLE)
def test_head_returns_the_headers_of_get_without_the_body(stack: Stack, api: Api, template: str) -> None:
    path = path_of(template, stack)
    get = api.get(path)
    head = api.send(request("http_get.json", path, method="HEAD"))
    assert (head.status, head.body) == (get.status, b"")
    different = {"location"} if template.endswith("original") else set()
    assert {k: v for k, v in head.headers.items() if k not in different} == {
        k: v for k, v in get.headers.items() if k not in different
    }
    assert template.endswith("original") or int(head.headers["content-length"]) == len(get.body)


@pytest.mark.parametrize("path", ["/nope", "/api/images/img_short"])
def test_head_of_a_missing_image_is_not_found_without_a_body(api: Api, path: str) -> None:
    response = api.send(request("http_get.json", path, method="HEAD"))
    assert (response.status, response.body) == (404, b"")


# ETag


@pytest.mark.parametrize("template", ["{image}", "/api/images", "{image}/thumbnails/small"])
def test_a_matching_etag_gets_304(stack: Stack, api: Api, template: str) -> None:
    path = path_of(template, stack)
    first = api.get(path)
    etag = first.headers["etag"]
    assert etag.startswith('"') and etag.endswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    for header in (etag, f"W/{etag}", f'"other", {etag}', f'"a,b",W/"c" , {etag}', "*", " * "):
        for method in ("GET", "HEAD"):
            response = api.send(request("http_get.json", path, method=method, headers={"if-none-match": header}))
            assert (response.status, response.body, response.headers["etag"]) == (304, b"", etag), header
            assert response.headers["content-type"] == first.headers["content-type"]
    for header in ('"other"', "", "no tag", etag.strip('"'), f'"{etag}'):
        assert api.get(path, if_none_match=header).status == 200, header


def test_the_etag_changes_with_the_response(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    etags = [api.get(path).headers["etag"]]
    stack.records.describe(record, title="x", alt_text=None, tags=None)
    etags.append(api.get(path).headers["etag"])
    etags.append(api.get(path, host="other.example.org").headers["etag"])
    stack.records.reprocess(stack.the_record(), pending_seconds=30)
    etags.append(api.get(path).headers["etag"])
    assert len(set(etags)) == 4


def test_the_etag_stays_the_same_if_nothing_changes(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    assert api.get(path).headers["etag"] == api.get(path).headers["etag"]


# Retry-After


@pytest.mark.parametrize("status", [Status.RESERVED, Status.PENDING, Status.PROCESSING])
def test_an_unfinished_image_has_retry_after(stack: Stack, api: Api, status: Status) -> None:
    path = f"/api/images/{image_in(stack.records, status).image_id}"
    for response in (api.get(path), api.get(path, if_none_match="*")):
        assert response.status in (200, 304)
        assert int(response.headers["retry-after"]) >= 1


def test_a_finished_image_has_no_retry_after(stack: Stack, api: Api) -> None:
    done = image_in(stack.records, Status.SUCCESS)
    failed = stack.records.fail(image_in(stack.records, Status.PROCESSING), CorruptImage())
    for record in (done, failed):
        assert "retry-after" not in api.get(f"/api/images/{record.image_id}").headers


def test_an_accepted_request_returns_a_location_and_retry_after(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    for response in (api.upload(pictures.jpeg()), api.post(f"/api/images/{record.image_id}/reprocess")):
        assert response.status == 202
        assert response.headers["location"].endswith(f"/api/images/{response.json()['image_id']}")
        assert int(response.headers["retry-after"]) >= 1
