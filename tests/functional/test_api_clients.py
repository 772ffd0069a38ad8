"""HTTP as other people's clients speak it. Each test is a public bug report of another project."""

from __future__ import annotations

import errno
from typing import Any

import httpx
import pytest
from starlette.datastructures import UploadFile

from image_core.model import Status
from image_core.stores.objects import attachment_disposition
from tests import pictures
from tests.functional.emulator import Stack
from tests.functional.http_api import BOUNDARY, Api, Response, request
from tests.functional.images import stored_image

PHOTO = pictures.jpeg(60, 40)


def form(*dispositions: str) -> bytes:
    """Return a form with the same file once for each `Content-Disposition` (the part after `form-data; `)."""
    parts = [
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {one}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
        + PHOTO
        + b"\r\n"
        for one in dispositions
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(api: Api, *dispositions: str) -> Response:
    return api.send(request("http_post_multipart.json", "/api/images", body=form(*dispositions)))


@pytest.mark.parametrize("field", ["file", "file2"])
def test_two_files_are_refused_instead_of_dropping_one(stack: Stack, api: Api, field: str) -> None:
    response = post(api, 'name="file"; filename="a.jpg"', f'name="{field}"; filename="b.jpg"')
    assert (response.status, response.code) == (400, "several_files")
    assert "This one has 2 files." in response.json()["error"]["message"]
    assert list(stack.every()) == []
    assert not stack.originals()


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("filename*=utf-8''Gr%C3%B6%C3%9Fe.jpg", "Größe.jpg"),
        ("filename=\"=?utf-8?B?R3LDtsOfZS5qcGc=?=\"; filename*=utf-8''Gr%C3%B6%C3%9Fe.jpg", "Größe.jpg"),
        ('filename="=?utf-8?B?R3LDtsOfZS5qcGc=?="', "Größe.jpg"),
        ('filename="=?utf-8?Q?Gr=C3=B6=C3=9Fe?= 2.jpg"', "Größe 2.jpg"),
        ("filename*=ISO-8859-1''Gr%F6%DFe.jpg; filename=\"Gr.jpg\"", "Größe.jpg"),
        ('filename="a%22b.jpg"', 'a"b.jpg'),
        ('filename="100%25 of it.jpg"', "100%25 of it.jpg"),
        # What cannot be decoded stays as it is.
        ("filename*=utf-8''%FF%FE.jpg; filename=\"plain.jpg\"", "plain.jpg"),
        ("filename*=klingon''Gr%F6.jpg; filename=\"plain.jpg\"", "plain.jpg"),
        ('filename="=?klingon?B?R3LDtsOfZS5qcGc=?="', "=?klingon?B?R3LDtsOfZS5qcGc=?="),
        ('filename="what=?.jpg"', "what=?.jpg"),
    ],
)
def test_a_file_name_is_decoded_however_it_was_written(api: Api, disposition: str, name: str) -> None:
    response = post(api, f'name="file"; {disposition}')
    assert (response.status, response.json()["data"]["original_name"]) == (202, name)


@pytest.mark.parametrize(
    ("announced", "signed"),
    [
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        ("Image/JPEG", "image/jpeg"),
        ("image/jpeg; charset=binary", "image/jpeg"),
        ("image/heif", "image/heic"),
        ("image/x-ms-bmp", "image/bmp"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
def test_a_media_type_may_have_any_usual_name(api: Api, announced: str, signed: str) -> None:
    wanted = {"filename": "photo", "content_type": announced, "size": 9}
    response = api.post_json("/api/uploads", wanted)
    assert (response.status, response.json()["upload"]["headers"]["Content-Type"]) == (201, signed)


@pytest.mark.parametrize("announced", ["image/svg+xml", "text/plain", "image", "", "jpeg"])
def test_another_media_type_is_still_refused(api: Api, announced: str) -> None:
    wanted = {"filename": "photo", "content_type": announced, "size": 9}
    response = api.post_json("/api/uploads", wanted)
    assert (response.status, response.code) == (400, "unsupported_format")


def test_a_full_disk_is_a_503_and_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(self: UploadFile, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(UploadFile, "write", full)
    response = post(api, 'name="file"; filename="a.jpg"')
    assert (response.status, response.code) == (503, "unavailable")
    assert response.headers["retry-after"]
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize(
    ("send", "message"),
    [
        (
            lambda api: api.get("/api/images", "limit=0"),
            "Query parameter `limit` is invalid: input should be greater",
        ),
        (lambda api: post(api, 'name="image"; filename="a.jpg"'), "Field `file` is missing."),
        (lambda api: post(api, 'name="file"'), "Field `file` is not a file. With curl: -F file=@photo.jpg"),
        (lambda api: api.post_json("/api/uploads", {"size": 9, "x": 1}), "Field `x` is unknown."),
        (
            lambda api: api.send(request("http_post_json.json", "/api/uploads", body=b'{"size": nine}')),
            "The body is not JSON: Expecting value at character 9.",
        ),
    ],
)
def test_a_validation_error_is_a_sentence(api: Api, send: Any, message: str) -> None:
    response = send(api)
    assert (response.status, response.code) == (422, "invalid_request")
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("файл 日本 \U0001f600.jpg", "image.jpg"),
        ("日本語.jpeg", "image.jpeg"),
        ("日本語", "image"),
        ("photo 日本.jpg", "photo .jpg"),
        ("Größe.jpg", "Groe.jpg"),
        ("...", "image"),
    ],
)
def test_a_name_in_another_script_is_saved_under_a_usable_one(name: str, plain: str) -> None:
    assert f'filename="{plain}"' in attachment_disposition(name)


def test_an_original_is_returned_as_it_is_although_its_encoding_is_wrong(stack: Stack, api: Api) -> None:
    dropped = stored_image(stack, Status.SUCCESS, PHOTO, key="photo.jpg", original_name="photo.jpg")
    stack.s3.put_object(
        Bucket=stack.uploads_bucket, Key="photo.jpg", Body=PHOTO, ContentEncoding="gzip", ContentType="image/jpeg"
    )
    location = api.get(f"/api/images/{dropped.image_id}/original").headers["location"]
    assert httpx.get(location, trust_env=False).content == PHOTO
