"""A path that was encoded twice matches no route. Otherwise it would bypass the throttle of that route.

API Gateway decodes a path once and selects the route by the result, so these events arrive through `$default`.
"""

from __future__ import annotations

import pytest

from image_core.model import Status
from tests import pictures
from tests.functional.emulator import Stack
from tests.functional.http_api import Api, multipart, request
from tests.functional.images import stored_image


@pytest.mark.parametrize("path", ["/api/%69mages", "/%61pi/images", "/api%2Fimages", "/%68ealth", "/api/images%3F"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_doubly_encoded_read_is_not_found(stack: Stack, api: Api, method: str, path: str) -> None:
    assert api.send(request("http_get.json", path, method=method)).status == 404
    assert stack.dynamodb.calls == []


def test_a_doubly_encoded_upload_is_not_found(stack: Stack, api: Api) -> None:
    form = multipart(pictures.jpeg(), "photo.jpg", "image/jpeg")
    assert api.send(request("http_post_multipart.json", "/api/%69mages", body=form)).code == "not_found"
    reservation = b'{"filename": "a.jpg", "content_type": "image/jpeg", "size": 1}'
    assert api.send(request("http_post_json.json", "/api/%75ploads", body=reservation)).code == "not_found"
    assert stack.every() == []


def test_a_doubly_encoded_reprocess_is_not_found(stack: Stack, api: Api) -> None:
    image_id = stored_image(stack, Status.SUCCESS).image_id
    assert api.post(f"/api/images/{image_id}/%72eprocess").code == "not_found"
    assert api.post(f"/api/%69mages/{image_id}/reprocess").code == "not_found"
    assert stack.records.get(image_id).status is Status.SUCCESS


def test_the_root_and_a_decoded_path_are_served(api: Api) -> None:
    assert [api.get(path).status for path in ("/", "/health", "/api/images")] == [200, 200, 200]
