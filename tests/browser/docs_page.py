"""The documentation page /docs, as a reader uses it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, Route, expect


class DocsPage:
    """Swagger UI at `address`, which can reach no other host.

    `foreign` lists the URLs that it requested from others.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address
        self.foreign: list[str] = []

    def open(self) -> DocsPage:
        self.page.route("**/*", self._only_the_stack)
        self.page.goto(f"{self._address}/docs")
        expect(self.page.get_by_role("heading", name="Serverless image pipeline")).to_be_visible()
        return self

    def _only_the_stack(self, route: Route) -> None:
        url = route.request.url
        if url.startswith((self._address, "data:")):
            route.continue_()
        else:
            self.foreign.append(url)
            route.abort()

    def try_out(self, operation: str) -> Locator:
        """Call an operation without parameters and return its response."""
        block = self.page.locator(f"[id$='-{operation}']")
        if block.locator(".opblock-body").count() == 0:
            block.locator(".opblock-summary-control").click()
            block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        return block.locator(".live-responses-table .response")

    def authorize(self, key: str) -> None:
        self.page.get_by_role("button", name="Authorize").click()
        dialog = self.page.locator(".modal-ux")
        dialog.locator("input").fill(key)
        dialog.get_by_role("button", name="Apply credentials").click()
        dialog.get_by_role("button", name="Close").click()
