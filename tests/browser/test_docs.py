"""The documentation at /docs needs nothing except the stack."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.docs_page import DocsPage
from tests.running_stack import Stack


def test_the_documentation_works_without_any_other_host(page: Page, stack: Stack) -> None:
    docs = DocsPage(page, str(stack.api.base_url).rstrip("/")).open()
    expect(page.locator(".opblock")).to_have_count(len(operations_of(stack)))

    response = docs.try_out("stats")

    expect(response.locator(".response-col_status")).to_contain_text("200")
    expect(response.locator(".response-col_description")).to_contain_text("success_rate")
    assert docs.foreign == []


def operations_of(stack: Stack) -> list[str]:
    paths = stack.api.get("/openapi.json").json()["paths"]
    return [operation["operationId"] for methods in paths.values() for operation in methods.values()]
