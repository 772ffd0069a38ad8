"""URLs for callers: what is signed, and how a file is named. moto checks neither: the URL itself is read."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from image_core.services import Services, connect
from image_core.settings import Settings
from image_core.storage import attachment_disposition

KEY = "uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/my photo+1 é.jpg"
ENCODED_KEY = "uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/my%20photo%2B1%20%C3%A9.jpg"


def services_of(**settings: str) -> Services:
    return connect(
        Settings(
            uploads_bucket="the-uploads",
            thumbnails_bucket="the-thumbnails",
            images_table="images",
            stats_table="stats",
            queue_url="https://queue",
            **settings,  # type: ignore[arg-type]
        )
    )


@pytest.fixture(scope="module")
def on_aws() -> Services:
    return services_of()


def test_an_upload_url_signs_size_type_and_not_yet_there(on_aws: Services) -> None:
    url, headers = on_aws.storage.presign_upload(KEY, content_type="image/jpeg", size_bytes=12_345, seconds=900)
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host;if-none-match"]
    assert query["X-Amz-Expires"] == ["900"]
    assert headers == {"Content-Type": "image/jpeg", "Content-Length": "12345", "If-None-Match": "*"}


def test_an_upload_url_is_on_the_bucket_s_regional_host(on_aws: Services) -> None:
    url, _ = on_aws.storage.presign_upload(KEY, content_type="image/jpeg", size_bytes=1, seconds=900)
    assert urlsplit(url).scheme == "https"
    assert urlsplit(url).netloc == "the-uploads.s3.eu-west-1.amazonaws.com"
    assert urlsplit(url).path == f"/{ENCODED_KEY}"


def test_another_size_has_another_signature(on_aws: Services) -> None:
    signatures = {
        parse_qs(
            urlsplit(
                on_aws.storage.presign_upload(KEY, content_type="image/jpeg", size_bytes=size, seconds=900)[0]
            ).query
        )["X-Amz-Signature"][0]
        for size in (1, 2)
    }
    assert len(signatures) == 2


def test_a_download_url_is_short_lived_signed_and_an_attachment(on_aws: Services) -> None:
    url = on_aws.storage.presign_download(KEY, name="my é.jpg", content_type="image/jpeg", seconds=300)
    query = parse_qs(urlsplit(url).query)
    assert urlsplit(url).netloc == "the-uploads.s3.eu-west-1.amazonaws.com"
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["300"]
    assert query["response-content-disposition"] == [
        "attachment; filename=\"my e.jpg\"; filename*=UTF-8''my%20%C3%A9.jpg"
    ]
    assert query["response-content-type"] == ["image/jpeg"]


@pytest.mark.parametrize(
    ("name", "offered"),
    [("../../.bashrc", "bashrc"), ("\u202egpj.exe", "gpj.exe"), ("a\r\nb.jpg", "ab.jpg"), ("", "image")],
)
def test_a_download_is_offered_under_a_harmless_name(on_aws: Services, name: str, offered: str) -> None:
    url = on_aws.storage.presign_download(KEY, name=name, content_type=None, seconds=300)
    (disposition,) = parse_qs(urlsplit(url).query)["response-content-disposition"]
    assert parse_options_header(disposition)[1]["filename"] == offered


def test_a_download_url_fits_into_a_header_however_long_the_name(on_aws: Services) -> None:
    # API Gateway takes 10,240 bytes of headers in all, and `Location` is one of them.
    long_key = f"uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/{'é' * 490}"
    url = on_aws.storage.presign_download(long_key, name="é" * 5000, content_type="image/jpeg", seconds=300)
    assert len(url) < 6000


def test_a_download_of_unknown_type_keeps_the_type_that_it_was_stored_with(on_aws: Services) -> None:
    url = on_aws.storage.presign_download(KEY, name="x", content_type=None, seconds=300)
    assert "response-content-type" not in parse_qs(urlsplit(url).query)


def test_at_an_emulator_urls_lead_to_where_callers_reach_it() -> None:
    emulated = services_of(
        aws_endpoint_url="http://host.docker.internal:4566", s3_public_endpoint_url="http://127.0.0.1:4566"
    )
    url, _ = emulated.storage.presign_upload(KEY, content_type="image/jpeg", size_bytes=1, seconds=900)
    assert url.startswith(f"http://127.0.0.1:4566/the-uploads/{ENCODED_KEY}?")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("photo.jpg", "attachment; filename=\"photo.jpg\"; filename*=UTF-8''photo.jpg"),
        ("é.jpg", "attachment; filename=\"e.jpg\"; filename*=UTF-8''%C3%A9.jpg"),
        ("\U0001f33b", "attachment; filename=\"image\"; filename*=UTF-8''%F0%9F%8C%BB"),
        ('a"b\\c%d.jpg', "attachment; filename=\"a_b_c_d.jpg\"; filename*=UTF-8''a%22b%5Cc%25d.jpg"),
        (
            "a\r\nSet-Cookie: x",
            "attachment; filename=\"a__Set-Cookie: x\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x",
        ),
    ],
)
def test_a_file_is_offered_under_its_name_in_any_script(name: str, header: str) -> None:
    assert attachment_disposition(name) == header


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_name_makes_one_header_that_gives_the_name_back(name: str) -> None:
    header = attachment_disposition(name)
    disposition, parameters = parse_options_header(header)
    assert header.isascii() and header.isprintable()
    assert disposition == "attachment"
    assert parameters["filename"] == name
