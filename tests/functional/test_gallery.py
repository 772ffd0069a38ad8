"""How the gallery is served: to which clients, with which headers and policy.

`tests/browser` tests what it does.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import boto3
import pytest

from image_api import assets
from image_api.assets import FOLDER, PAGE, asset
from image_core.services import Services, connect
from tests.functional.emulator import Stack
from tests.functional.http_api import Api, Response, request

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_of(api: Api, **headers: str) -> Response:
    return api.get("/", accept=BROWSER, **headers)


def policy_of(response: Response) -> dict[str, list[str]]:
    parts = (part.split() for part in response.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_clients_other_than_browsers_get_the_index(api: Api, accept: str) -> None:
    response = api.get("/", accept=accept)

    assert response.json()["endpoints"]["images"].endswith("/api/images")
    assert "Accept" in response.headers["vary"]


def test_a_browser_gets_the_page(api: Api) -> None:
    response = page_of(api)

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.body == (FOLDER / PAGE).read_bytes()
    assert "Accept" in response.headers["vary"], "a cache must not send a browser's page to curl"


def test_every_file_that_the_page_names_is_served_with_its_type(api: Api) -> None:
    """The page also names every module that its scripts import, so that all of them are served and preloaded."""
    page = page_of(api).body.decode()
    named = set(re.findall(r'(?:href|src)="assets/([^"]+)"', page))
    imported = {
        name
        for path in (FOLDER / "scripts").iterdir()
        for name in re.findall(r'from "\./([^"]+)"', path.read_text())
    }

    assert imported <= named, "modules are preloaded; otherwise the browser finds them one by one"
    for name in named:
        response = api.get(f"/assets/{name}")
        assert response.status == 200, name
        assert response.headers["content-type"] == TYPES[name[name.rindex(".") :]]
    assert {path.name for path in FOLDER.rglob("*.*") if path.suffix in TYPES} == named, "no file is served unused"


def comment_lines(source: str) -> Iterator[bool]:
    """Whether each line holds only a comment, or a part of one. A comment before or after code does not count."""
    block: list[str] = []
    for line in map(str.strip, source.split("\n")):
        if block or line.startswith("/*"):
            block.append(line)
            if "*/" in line:
                yield from [line.index("*/") == len(line) - 2] * len(block)
                block = []
        else:
            yield line.startswith("//")


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.rglob("*") if path.suffix in {".js", ".css"}))
def test_only_the_lines_that_hold_a_comment_are_sent_empty(api: Api, name: str) -> None:
    """Line numbers stay, so that an error in the browser names the line of the source."""
    (path,) = FOLDER.rglob(name)
    source, sent = path.read_text(), api.get(f"/assets/{name}").body.decode()

    wanted = [
        "" if is_comment else line
        for line, is_comment in zip(source.split("\n"), comment_lines(source), strict=True)
    ]

    assert sent.split("\n") == wanted
    assert len(sent) < len(source)


def test_code_behind_a_comment_and_comments_behind_code_are_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = [
        '  /** @type {const} */ (["a", "b"]).map(',
        'const url = "https://example.org"; // why',
        "/* one */ first(); /* two */",
        "second(); /* three",
        "four */ third();",
        "a = b /* c */;",
        "* { margin: 0 }",
        "",
    ]
    path = tmp_path / "some.js"
    path.write_text("\n".join(code))
    monkeypatch.setattr(assets, "FOLDER", tmp_path)

    assert assets._read(path, gzipped=False).body == path.read_bytes()


@pytest.mark.parametrize("path", ["/", "/assets/main.js"])
def test_a_known_file_gets_304(api: Api, path: str) -> None:
    first = api.get(path, accept=BROWSER)

    again = api.get(path, accept=BROWSER, if_none_match=first.headers["etag"])

    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache", "scripts of two releases must never mix"
    assert api.get(path, accept=BROWSER, if_none_match='"other"').status == 200


@pytest.mark.parametrize("path", ["/", "/assets/main.js"])
def test_a_file_is_compressed_for_clients_that_accept_it(api: Api, path: str) -> None:
    plain = api.get(path, accept=BROWSER)

    packed = api.get(path, accept=BROWSER, accept_encoding="gzip, deflate, br")

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]
    assert len(packed.body) < len(plain.body)


@pytest.mark.parametrize("path", ["/", "/assets/main.js"])
@pytest.mark.parametrize(
    "header", ["gzip;q=0", "br, gzip; Q=0.0", "br;q=1.0,gzip;q=0,*;q=0", "gzippy", "identity", ""]
)
def test_a_file_is_not_compressed_for_clients_that_do_not_accept_it(api: Api, path: str, header: str) -> None:
    plain = api.get(path, accept=BROWSER, accept_encoding=header)

    assert "content-encoding" not in plain.headers
    assert plain.body == api.get(path, accept=BROWSER).body


@pytest.mark.parametrize("header", ["gzip;q=0.5", "GZIP", "br;q=0, gzip ;q=1"])
def test_an_encoding_with_a_weight_above_zero_is_accepted(api: Api, header: str) -> None:
    assert api.get("/assets/main.js", accept_encoding=header).headers["content-encoding"] == "gzip"


def test_a_page_with_weight_zero_is_not_accepted(api: Api) -> None:
    assert api.get("/", accept="text/html;q=0, application/json").json()["endpoints"]


@pytest.mark.parametrize("path", ["/", "/assets/main.js"])
def test_compressed_bytes_have_a_different_etag(api: Api, path: str) -> None:
    """RFC 9110, 8.8.3: a strong ETag identifies one sequence of bytes."""
    plain = api.get(path, accept=BROWSER).headers["etag"]
    packed = api.get(path, accept=BROWSER, accept_encoding="gzip").headers["etag"]

    assert plain != packed
    assert api.get(path, accept=BROWSER, accept_encoding="gzip", if_none_match=packed).status == 304
    assert api.get(path, accept=BROWSER, accept_encoding="gzip", if_none_match=plain).status == 200


@pytest.mark.parametrize("path", ["/", "/assets/main.js"])
def test_head_is_get_without_the_body(api: Api, path: str) -> None:
    get = api.get(path, accept=BROWSER)
    head = api.send(request("http_get.json", path, method="HEAD", headers={"accept": BROWSER}))

    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == get.headers["etag"]


@pytest.mark.parametrize("name", ["nothing.js", PAGE, "__init__.py", "..%2F__init__.py", "scripts%2Fmain.js"])
def test_no_other_file_of_the_package_is_served(api: Api, name: str) -> None:
    response = api.get(f"/assets/{name}")

    assert (response.status, response.code) == (404, "not_found")


def test_the_policy_allows_only_the_bucket_of_originals(api: Api, stack: Stack) -> None:
    policy = policy_of(page_of(api))

    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["img-src"] == ["'self'", "blob:"]
    assert policy["connect-src"] == ["'self'", stack.services.storage.public_origin()]
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]


ON_AWS = "image-pipeline-uploads-123456789012-of-ours"


def on_aws(stack: Stack, region: str) -> Services:
    """Return the services as they are on AWS. No call is made."""
    fields = {"aws_endpoint_url": None, "s3_public_endpoint_url": None, "uploads_bucket": ON_AWS}
    settings = stack.services.settings.model_copy(update=fields)
    return connect(settings, session=boto3.Session("a", "b", region_name=region))


@pytest.mark.parametrize(
    ("region", "source"),
    [
        ("eu-west-1", "https://*.s3.eu-west-1.amazonaws.com"),
        ("us-east-1", "https://*.s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "https://*.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_on_aws_the_policy_allows_the_host_of_presigned_urls(stack: Stack, region: str, source: str) -> None:
    services = on_aws(stack, region)
    storage = services.storage

    sources = policy_of(page_of(Api(services)))["connect-src"]

    upload, _ = storage.presign_upload("a/b.jpg", content_type="image/jpeg", size_bytes=1, sha256=None, seconds=60)
    download = storage.presign_download("a/b.jpg", name="b.jpg", content_type="image/jpeg", seconds=60)
    assert sources == ["'self'", source]
    for url in (upload, download):
        assert fnmatch(url.partition("/a/b.jpg")[0], source)


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/assets/main.js", "/nothing", "/api/images"])
def test_responses_without_a_key_reveal_neither_account_nor_bucket(stack: Stack, path: str) -> None:
    services = on_aws(stack, "eu-west-1")
    locked = services.settings.model_copy(update={"api_key_secret_arn": "arn:aws:secretsmanager:x:123456789012:y"})
    api = Api(replace(services, settings=locked))
    for response in (api.get(path, accept=BROWSER), api.get(path), api.post(path)):
        assert "123456789012" not in f"{response.headers} {response.body!r}"


def test_the_page_has_no_inline_script_style_or_handler() -> None:
    """The policy would block them, or would have to be loosened."""
    page = asset(PAGE)
    assert page is not None
    text = page.body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
    scripts = "\n".join(path.read_text() for path in (FOLDER / "scripts").iterdir())
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts)
