"""Presigned URLs: what is signed, and how a file is named. moto checks neither, so the tests parse the URL."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from image_core.services import Services, connect
from image_core.settings import Settings
from image_core.stores.objects import attachment_disposition

KEY = "uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/my photo+1 é.jpg"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ENCODED_KEY = "uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/my%20photo%2B1%20%C3%A9.jpg"


SETTINGS = Settings(
    uploads_bucket="the-uploads",
    thumbnails_bucket="the-thumbnails",
    images_table="images",
    stats_table="stats",
    search_table="search",
    queue_url="https://queue",
)


def services_of(**settings: str) -> Services:
    return connect(SETTINGS.model_copy(update=settings))


@pytest.fixture(scope="module")
def on_aws() -> Services:
    return services_of()


def test_an_upload_url_signs_size_type_and_if_none_match(on_aws: Services) -> None:
    url, headers = on_aws.storage.presign_upload(KEY, content_type="image/jpeg", size_bytes=12_345, seconds=900)
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host;if-none-match"]
    assert query["X-Amz-Expires"] == ["900"]
    assert headers == {"Content-Type": "image/jpeg", "Content-Length": "12345", "If-None-Match": "*"}


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_an_upload_url_uses_the_buckets_regional_host(region: str) -> None:
    session = boto3.session.Session(region_name=region)
    url, _ = connect(SETTINGS, session=session).storage.presign_upload(
        KEY, content_type="image/jpeg", size_bytes=1, seconds=900
    )
    assert urlsplit(url).scheme == "https"
    assert urlsplit(url).netloc == f"the-uploads.s3.{region}.amazonaws.com"
    assert urlsplit(url).path == f"/{ENCODED_KEY}"


def test_an_announced_checksum_is_signed_in_s3s_encoding(on_aws: Services) -> None:
    url, headers = on_aws.storage.presign_upload(
        KEY, content_type="image/jpeg", size_bytes=12_345, seconds=900, sha256=SHA256
    )
    assert parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"] == [
        "content-length;content-type;host;if-none-match;x-amz-checksum-sha256"
    ]
    assert headers["x-amz-checksum-sha256"] == b64encode(bytes.fromhex(SHA256)).decode()


def signature_of(method: str, url: str, headers: dict[str, str]) -> tuple[str, str]:
    """Return the signature in `url`, and the signature that S3 computes for this request."""
    head, _, given = url.rpartition("&X-Amz-Signature=")
    signer = S3SigV4QueryAuth(Credentials("test", "test"), "s3", "eu-west-1")
    request = AWSRequest(method, head, headers)
    request.context["timestamp"] = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
    return given, signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


@pytest.fixture
def signed(on_aws: Services) -> tuple[str, dict[str, str]]:
    return on_aws.storage.presign_upload(
        KEY, content_type="image/jpeg", size_bytes=12_345, seconds=900, sha256=SHA256
    )


def test_the_url_has_the_signature_that_s3_computes(signed: tuple[str, dict[str, str]]) -> None:
    given, computed = signature_of("PUT", *signed)
    assert given == computed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Length", "12346"),
        ("Content-Type", "text/html"),
        ("If-None-Match", "x"),
        ("x-amz-checksum-sha256", b64encode(bytes(32)).decode()),
    ],
)
def test_changing_any_header_breaks_the_signature(
    signed: tuple[str, dict[str, str]], name: str, value: str
) -> None:
    url, headers = signed
    assert name in headers
    given, computed = signature_of("PUT", url, headers | {name: value})
    assert given != computed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("the-uploads.s3.eu-west-1", "other.s3.eu-west-1"),
        ("photo%2B1", "other"),
        ("X-Amz-Expires=900", "X-Amz-Expires=9000"),
        ("%3Bx-amz-checksum-sha256", ""),
    ],
)
def test_changing_the_host_key_lifetime_or_signed_headers_breaks_the_signature(
    signed: tuple[str, dict[str, str]], old: str, new: str
) -> None:
    url, headers = signed
    assert old in url
    given, computed = signature_of("PUT", url.replace(old, new), headers)
    assert given != computed


def test_another_method_breaks_the_signature(signed: tuple[str, dict[str, str]]) -> None:
    given, computed = signature_of("GET", *signed)
    assert given != computed


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
    ("name", "file_name"),
    [("../../.bashrc", "bashrc"), ("\u202egpj.exe", "gpj.exe"), ("a\r\nb.jpg", "ab.jpg"), ("", "image")],
)
def test_a_download_has_a_harmless_file_name(on_aws: Services, name: str, file_name: str) -> None:
    url = on_aws.storage.presign_download(KEY, name=name, content_type=None, seconds=300)
    (disposition,) = parse_qs(urlsplit(url).query)["response-content-disposition"]
    assert parse_options_header(disposition)[1]["filename"] == file_name


def test_a_download_url_fits_into_a_header_whatever_the_length_of_the_name(on_aws: Services) -> None:
    # API Gateway accepts 10,240 bytes of headers in total, and `Location` is one of them.
    long_key = f"uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/{'é' * 490}"
    url = on_aws.storage.presign_download(long_key, name="é" * 5000, content_type="image/jpeg", seconds=300)
    assert len(url) < 6000


def test_a_download_of_unknown_type_is_an_octet_stream_whatever_the_objects_type(on_aws: Services) -> None:
    url = on_aws.storage.presign_download(KEY, name="x", content_type=None, seconds=300)
    assert parse_qs(urlsplit(url).query)["response-content-type"] == ["application/octet-stream"]


@pytest.mark.parametrize("name", ["aws_endpoint_url", "local_endpoint_url"])
def test_with_an_emulator_urls_use_the_host_that_clients_can_reach(name: str) -> None:
    emulated = services_of(
        **{name: "http://host.docker.internal:4566"}, s3_public_endpoint_url="http://127.0.0.1:4566"
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
def test_the_content_disposition_supports_names_in_any_script(name: str, header: str) -> None:
    assert attachment_disposition(name) == header


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_name_makes_one_header_from_which_it_can_be_read_back(name: str) -> None:
    header = attachment_disposition(name)
    disposition, parameters = parse_options_header(header)
    assert header.isascii() and header.isprintable()
    assert disposition == "attachment"
    assert parameters["filename"] == name
