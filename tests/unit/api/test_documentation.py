"""docs/api.md matches the schema."""

from __future__ import annotations

from typing import Any

import pytest

from docs import api


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return api.offline_app().openapi()


def test_the_page_is_up_to_date() -> None:
    assert api.FILE.read_text(encoding="utf-8") == api.document(), "run `make docs`"


def test_every_call_with_every_status_and_parameter_is_on_the_page(schema: dict[str, Any]) -> None:
    sections = api.document().split("\n## ")
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            (section,) = [one for one in sections if one.startswith(f"{method.upper()} {path}\n")]
            for status in operation["responses"]:
                assert f"\n| {status} |" in section
            for parameter in operation.get("parameters", []):
                assert f"| `{parameter['name']}` |" in section


def test_links_within_the_page_have_a_target() -> None:
    text = api.document()
    titles = [line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#")]
    anchors = {"".join(c for c in t.lower().replace(" ", "-") if c.isalnum() or c in "-_") for t in titles}
    targets = {part.partition(")")[0] for part in text.split("](#")[1:]}
    assert targets and targets <= anchors


def test_responses_that_api_gateway_creates_itself_are_listed() -> None:
    (section,) = [one for one in api.document().split("\n## ") if one.startswith("Responses of API Gateway")]
    for status in (403, 404, 413, 429, 500, 503, 504):
        assert f"\n| {status} |" in section
