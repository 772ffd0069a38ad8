"""A running stack and Debian's Chromium, controlled by playwright."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import pictures
from tests.browser.chromium import ARGUMENTS, executable
from tests.browser.gallery import Gallery
from tests.browser.many import Seed, seeding
from tests.running_stack import Stack, running_stack

SECONDS = 15
expect.set_options(timeout=SECONDS * 1000)


def _chromium() -> str:
    found = executable()
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium; or CHROMIUM=/path/to/it)")
    return found


# Not session-scoped: playwright's event loop would continue to run in this thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = _chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def stack(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), "--workers", "1", "--model", "demo") as stack:
        yield stack


@pytest.fixture
def empty(stack: Stack) -> Stack:
    """The stack, with all images deleted."""
    stack.clear()
    return stack


@pytest.fixture
def seed(empty: Stack) -> Iterator[Seed]:
    """Writes images into the empty stack."""
    with seeding(empty) as seed:
        yield seed


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    context.set_default_timeout(SECONDS * 1000)
    yield context
    # A handler that runs now (the page asks every few seconds) would fail in the next test, on a closed page.
    for page in context.pages:
        page.unroute_all(behavior="ignoreErrors")
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page. The test fails if a script fails or the content security policy blocks anything."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield page
    assert errors == []


@pytest.fixture
def gallery(page: Page, empty: Stack) -> Gallery:
    """The open gallery of an empty stack."""
    return Gallery(page, str(empty.api.base_url)).open()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "my photo.jpg"
    path.write_bytes(pictures.jpeg(900, 600))
    return path
