"""Forged records: an attacker who runs code in the processor may write any record.

The other functions must not misuse it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from image_core.keys import requested_image_id, thumbnail_key
from image_core.model import Record, Status, ThumbnailInfo
from image_core.stores.items import to_item
from image_recovery.handler import sweep
from tests import pictures
from tests.functional.emulator import Stack
from tests.functional.http_api import Api, request, upload_event
from tests.functional.images import image_in, stored_image


def forge(stack: Stack, record: Record, **fields: Any) -> Record:
    """Write the record with these fields, as the processor's role may."""
    forged = replace(record, rev=record.rev + 1, **fields)
    stack.dynamodb.put_item(TableName=stack.images_table, Item=to_item(forged))
    return forged


@pytest.fixture(params=["another image's original", "an object that is no image"])
def foreign_key(request: pytest.FixtureRequest, stack: Stack) -> str:
    if request.param == "another image's original":
        return stored_image(stack, Status.SUCCESS).key
    stack.put("private/other.txt", b"a secret")
    return "private/other.txt"


@pytest.mark.parametrize("path", ["original", "original/address"])
def test_no_url_is_signed_for_a_key_that_does_not_belong_to_the_image(
    stack: Stack, api: Api, foreign_key: str, path: str
) -> None:
    forged = forge(stack, stored_image(stack, Status.SUCCESS), key=foreign_key)
    response = api.get(f"/api/images/{forged.image_id}/{path}")
    assert (response.status, response.code) == (404, "not_found")
    assert "location" not in response.headers
    assert foreign_key not in response.body.decode()


def test_a_deletion_keeps_an_original_that_does_not_belong_to_the_image(stack: Stack, foreign_key: str) -> None:
    deleting = image_in(stack.records, Status.DELETING)
    stored = stack.services.storage.head(foreign_key)
    assert stored is not None
    forged = forge(stack, deleting, key=foreign_key, version=stored.version, version_etag=stored.etag, deadline=1)
    sweep(stack.services)
    assert foreign_key in stack.originals()
    assert stack.other_records().get(forged.image_id) is None, "the forged record is deleted"


def test_the_api_keeps_an_original_that_does_not_belong_to_the_image(
    stack: Stack, api: Api, foreign_key: str
) -> None:
    forged = forge(stack, stored_image(stack, Status.SUCCESS), key=foreign_key)
    assert api.delete(f"/api/images/{forged.image_id}").status == 204
    assert foreign_key in stack.originals()
    assert stack.other_records().get(forged.image_id) is None


def test_a_repeated_request_gets_no_url_for_another_key(stack: Stack, api: Api) -> None:
    wanted = b'{"filename": "a.jpg", "content_type": "image/jpeg", "size": 1}'
    reservation = request("http_post_json.json", "/api/uploads", body=wanted, headers={"idempotency-key": "k-1"})
    assert api.send(reservation).status == 201
    record = stack.other_records().get(requested_image_id("POST /api/uploads", "k-1"))
    assert record is not None
    forge(stack, record, key="somewhere/else.jpg")
    response = api.send(reservation)
    assert (response.status, response.code) == (409, "idempotency_key_reused")


def test_a_repeated_request_stores_nothing_under_another_key(stack: Stack, api: Api) -> None:
    upload = upload_event(pictures.jpeg())
    upload["headers"]["idempotency-key"] = "k-2"
    assert api.send(upload).status == 202
    before = stack.originals()
    forge(stack, stack.the_record(), key="somewhere/else.jpg")
    response = api.send(upload)
    assert (response.status, response.code) == (409, "idempotency_key_reused")
    assert stack.originals() == before


def thumbnail(stack: Stack, key: str, content_type: str) -> ThumbnailInfo:
    stack.services.storage.put_thumbnail(key, b"<script>alert(origin)</script>", content_type=content_type)
    return ThumbnailInfo(key, 150, 100, content_type, 30)


@pytest.mark.parametrize("if_none_match", ["", "*"])
@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("{own}", "text/html"),
        ("{own}", "image/svg+xml"),
        ("{own}", "image/jpeg; charset=x"),
        ("{other}", "image/jpeg"),
        ("elsewhere", "image/jpeg"),
    ],
)
def test_a_thumbnail_is_served_only_if_it_is_an_image_of_its_record(
    stack: Stack, api: Api, key: str, content_type: str, if_none_match: str
) -> None:
    record, other = stored_image(stack, Status.SUCCESS), stored_image(stack, Status.SUCCESS)
    own_key, other_key = (thumbnail_key(one.image_id, "forged", "small", b"") for one in (record, other))
    info = thumbnail(stack, key.format(own=own_key, other=other_key), content_type)
    assert record.thumbnails is not None
    forge(stack, record, thumbnails=replace(record.thumbnails, sizes={"small": info}))
    response = api.get(f"/api/images/{record.image_id}/thumbnails/small", if_none_match=if_none_match)
    assert (response.status, response.code) == (404, "not_found")
    assert response.headers["content-type"] == "application/json"
