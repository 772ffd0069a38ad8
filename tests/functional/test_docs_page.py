"""The documentation page: Swagger UI, served from this package. `tests/browser` tests what it does."""

from __future__ import annotations

import hashlib
import re

import pytest

from image_api.assets import DOCS_FOLDER, SWAGGER_UI, asset
from tests.functional.http_api import Api, Response


def named_by(page: Response) -> set[str]:
    return set(re.findall(r'(?:href|src)="([^"]+)"', page.body.decode()))


def test_the_documentation_loads_files_only_from_its_own_origin(api: Api) -> None:
    page = api.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "//" not in page.body.decode()
    assert {f"assets/{name}" for name in SWAGGER_UI} < named_by(page)
    for path in named_by(page):
        assert api.get(f"/{path}").status == 200, path


def test_the_policy_allows_no_other_origin_and_no_inline_script(api: Api) -> None:
    page = api.get("/docs")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert api.get("/docs", if_none_match="*").headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.body.decode())


def test_the_files_are_those_that_swagger_ui_publishes() -> None:
    for name, digest in SWAGGER_UI.items():
        found = asset(name)
        assert found is not None
        assert hashlib.sha256(found.body).hexdigest() == digest, f"{name}: another release; compare, then pin it"
    licenses = {path.name: path.read_text() for path in (DOCS_FOLDER / "licenses").iterdir()}
    assert "Apache License" in licenses["LICENSE"]
    assert "SmartBear" in licenses["NOTICE"]
    assert "swagger-ui-bundle.js.LICENSE.txt" in licenses


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/assets/docs.html", "/assets/LICENSE"])
def test_no_other_file_of_the_documentation_is_served(api: Api, path: str) -> None:
    assert api.get(path).code == "not_found"
