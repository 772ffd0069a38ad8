"""Presigned URLs at an emulator that verifies them (moto does not): S3 accepts the announced file, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import pictures
from tests.functional.emulator import EMULATOR
from tests.functional.http_api import Api

pytestmark = pytest.mark.skipif(EMULATOR == "moto", reason="moto does not check presigned URLs")

PHOTO = pictures.jpeg(60, 40)
Upload = dict[str, Any]


@pytest.fixture
def upload(api: Api) -> Upload:
    wanted = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": len(PHOTO)}
    response = api.post_json("/api/uploads", wanted | {"sha256": hashlib.sha256(PHOTO).hexdigest()})
    assert response.status == 201
    return dict(response.json()["upload"])


def put(upload: Upload, body: bytes = PHOTO, **headers: str | None) -> tuple[int, str]:
    """PUT the file and return the response's status and body. A header that is None is omitted."""
    sent = {name: value for name, value in (upload["headers"] | headers).items() if value is not None}
    response = httpx.put(upload["url"], content=body, headers=sent, trust_env=False)
    return response.status_code, response.text


def test_the_file_that_was_announced_is_accepted_once(upload: Upload) -> None:
    assert put(upload)[0] == 200
    assert put(upload)[0] == 412


@pytest.mark.parametrize(
    "change",
    [
        lambda upload: put(upload, PHOTO + b"x", **{_name(upload, "content-length"): str(len(PHOTO) + 1)}),
        lambda upload: put(upload, **{_name(upload, "content-type"): "image/png"}),
        lambda upload: put(upload, **{_name(upload, "if-none-match"): None}),
        lambda upload: put(upload | {"url": upload["url"].replace("Signature=", "Signature=0")}),
        lambda upload: put(upload | {"url": upload["url"].replace("/uploads/", "/elsewhere/")}),
    ],
    ids=["size", "type", "once", "signature", "key"],
)
def test_a_request_other_than_the_signed_one_is_refused(
    upload: Upload, change: Callable[[Upload], tuple[int, str]]
) -> None:
    status, body = change(upload)
    assert (status, "SignatureDoesNotMatch" in body or "AccessDenied" in body) == (403, True)
    assert put(upload)[0] == 200


def test_other_bytes_of_the_same_size_are_refused(upload: Upload) -> None:
    status, body = put(upload, PHOTO[:-1] + b"\0")
    assert (status, "BadDigest" in body) == (400, True)


def _name(upload: Upload, header: str) -> str:
    """Return the header's name as the API spells it."""
    return next(name for name in upload["headers"] if name.lower() == header)
