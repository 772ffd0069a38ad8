"""Thirty hostile file names.

Every way to upload stores them unchanged, and they break no header, log line or URL.
"""

from __future__ import annotations

import http.client
import json
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.http import parse_options_header

from image_core.keys import safe_name
from image_processor.handler import Processor
from tests import pictures
from tests.functional.captioners import FakeCaptioner
from tests.functional.emulator import Call, Stack
from tests.functional.http_api import BOUNDARY, Api, Response, multipart, request, upload_event
from tests.functional.s3_events import messages, notification

PHOTO = pictures.jpeg(60, 40)
NAMES = [
    "my photo (1).jpg",
    "résumé naïve.jpg",
    "Ελληνικά.png",
    "Кириллица.jpg",
    "日本語の写真.jpg",
    "العربية.jpg",
    "עברית.jpg",
    "हिन्दी.jpg",
    "\U0001f98a\U0001f468\u200d\U0001f469\u200d\U0001f467.jpg",
    "cafe\u0301.jpg",
    "photo\u202egpj.exe",
    "\u200f\u2067rtl\u2069.jpg",
    "\ufeffzero\u200bwidth.jpg",
    'quo"te.jpg',
    "single'quote;semi=colon.jpg",
    'a"; filename="b.jpg',
    "a\r\nSet-Cookie: session=1.jpg",
    "a\r\n\r\n<html>.jpg",
    "line\nfeed.jpg",
    "carriage\rreturn.jpg",
    "nul\x00byte.jpg",
    "escape\x1b[2Jbell\x07.jpg",
    "<script>alert(1)</script>.svg",
    "100%25 + %0d%0a plus%2Fslash.jpg",
    "=cmd|' /C calc'!A0.jpg",
    "a/b\\c.jpg",
    "C:fake\\path\\photo.jpg",
    "...",
    " leading and trailing ",
    "no extension",
    "x" * 1020 + ".jpg",
    "\U0001f98a" * 256,
    "line\u2028separator\u2029paragraph\x85next.jpg",
    "fields: ${jndi:ldap://x} {0} %s %(x)s.jpg",
]


@pytest.fixture
def processor(stack: Stack) -> Processor:
    return Processor(stack.services, lambda _: FakeCaptioner())


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "image_core")
    for package in ("image_api", "image_processor", "aws_lambda_powertools"):
        caplog.set_level(logging.DEBUG, package)
    return caplog


def arrive(stack: Stack, processor: Processor) -> None:
    """Send the bucket's events to the processor."""
    for message in stack.notifications():
        assert processor(messages(message["Body"])) == {"batchItemFailures": []}


def fetch(url: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """GET the URL without any normalization."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("GET", url.partition(parts.netloc)[2])
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def put(url: str, headers: dict[str, str], body: bytes) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("PUT", url.partition(parts.netloc)[2], body, headers)
    return connection.getresponse().status


def assert_is_whole(
    api: Api, image_id: str, name: str, logs: pytest.LogCaptureFixture, *, is_in_moto: bool = True
) -> None:
    """Assert that the image can be read, listed and downloaded, with its name intact everywhere."""
    image = api.get(f"/api/images/{image_id}")
    assert (image.status, image.json()["status"]) == (200, "success")
    assert image.json()["data"]["original_name"] == name
    listed = api.get("/api/images")
    assert listed.json()["data"] == [image.json()]
    redirect = api.get(f"/api/images/{image_id}/original")
    assert redirect.status == 307
    for response in (image, listed, redirect, api.get(f"/api/images/{image_id}/thumbnails/small")):
        assert_headers_are_clean(response)
    url = redirect.headers["location"]
    (disposition,) = parse_qs(urlsplit(url).query)["response-content-disposition"]
    assert disposition.isascii() and disposition.isprintable()
    kind, parameters = parse_options_header(disposition)
    assert (kind, set(parameters), parameters["filename"]) == ("attachment", {"filename"}, safe_name(name))
    assert_logs_are_clean(logs)
    if not is_in_moto:
        return
    status, headers, got = fetch(url)
    assert (status, got) == (200, PHOTO)
    assert headers["Content-Disposition"] == disposition
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Set-Cookie"] is None


def assert_headers_are_clean(response: Response) -> None:
    for name, value in response.headers.items():
        assert name.isascii() and value.isascii() and value.isprintable(), (name, value)
    assert "set-cookie" not in response.headers


def assert_logs_are_clean(logs: pytest.LogCaptureFixture) -> None:
    assert logs.records
    for record in logs.records:
        assert record.getMessage().isprintable(), record.getMessage()


def test_there_are_at_least_thirty_names() -> None:
    assert len(set(NAMES)) >= 30
    assert max(len(name.encode()) for name in NAMES) == 1024


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_in_a_form(
    stack: Stack, api: Api, processor: Processor, logs: pytest.LogCaptureFixture, name: str
) -> None:
    stack.notify_the_queue()
    # As browsers and curl write these characters.
    written = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").replace("\\", "\\\\")
    response = api.upload(PHOTO, written)
    assert response.status == 202
    arrive(stack, processor)
    assert_is_whole(api, response.json()["image_id"], name, logs)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_in_a_reservation(
    stack: Stack, api: Api, processor: Processor, logs: pytest.LogCaptureFixture, name: str
) -> None:
    stack.notify_the_queue()
    wanted = {"filename": name, "content_type": "image/jpeg", "size": len(PHOTO)}
    response = api.post_json("/api/uploads", wanted)
    assert response.status == 201
    assert_headers_are_clean(response)
    upload = response.json()["upload"]
    assert upload["url"].isascii() and upload["url"].isprintable()
    assert put(upload["url"], upload["headers"], PHOTO) == 200
    arrive(stack, processor)
    assert_is_whole(api, response.json()["image_id"], name, logs)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_in_the_bucket(
    stack: Stack, api: Api, processor: Processor, logs: pytest.LogCaptureFixture, name: str
) -> None:
    in_moto = name.replace("\n", "?")  # moto has no route to a key with a line feed; S3 accepts it

    def elsewhere(call: Call, arguments: dict[str, Any]) -> Any:
        return call(**arguments | {"Key": in_moto})

    stack.s3.plan("head_object", elsewhere)
    stack.s3.plan("get_object", elsewhere)
    stack.put(in_moto, PHOTO)
    assert processor(messages(notification(stack, key=name))) == {"batchItemFailures": []}
    record = stack.the_record()
    assert record.key == name
    assert_is_whole(api, record.image_id, name.rpartition("/")[2], logs, is_in_moto=in_moto == name)


@pytest.mark.parametrize(("name", "status"), [("a\r\nb.jpg", 422), ("a\rb.jpg", 422), ("a\nb.jpg", 202)])
def test_a_raw_line_break_in_a_form_is_refused_or_stored_as_data(
    stack: Stack, api: Api, name: str, status: int
) -> None:
    response = api.upload(PHOTO, name)
    assert response.status == status
    assert_headers_are_clean(response)
    assert [record.original_name for record in stack.every()] == ([name] if status == 202 else [])


def form_with(disposition: str) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"{disposition}\r\n\r\n'
    return head.encode() + PHOTO + f"\r\n--{BOUNDARY}--\r\n".encode()


def test_a_hostile_name_in_the_extended_parameter_is_stored_as_data(
    stack: Stack, api: Api, processor: Processor, logs: pytest.LogCaptureFixture
) -> None:
    stack.notify_the_queue()
    both = form_with("; filename=\"plain.jpg\"; filename*=UTF-8''%0D%0ASet-Cookie:%20session=1.jpg")
    response = api.send(request("http_post_multipart.json", "/api/images", body=both))
    assert response.status == 202
    arrive(stack, processor)
    assert_is_whole(api, response.json()["image_id"], "\r\nSet-Cookie: session=1.jpg", logs)


def test_a_name_in_a_legacy_charset_is_accepted(stack: Stack, api: Api) -> None:
    body = multipart(PHOTO, "PLACEHOLDER.jpg", "image/jpeg").replace(b"PLACEHOLDER", b"caf\xe9")
    response = api.send(request("http_post_multipart.json", "/api/images", body=body))
    assert (response.status, response.json()["data"]["original_name"]) == (202, "caf\xe9.jpg")


def test_names_in_json_responses_are_data(stack: Stack, api: Api) -> None:
    response = api.send(upload_event(PHOTO, "</script><img src=x onerror=alert(1)>.jpg"))
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert json.loads(response.body)["data"]["original_name"] == "</script><img src=x onerror=alert(1)>.jpg"
