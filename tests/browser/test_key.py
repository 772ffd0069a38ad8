"""The gallery of a stack that requires an API key: started with ApiKeyRequired=true, as on AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests import pictures
from tests.browser.delivery import photograph_files, two_visits
from tests.browser.docs_page import DocsPage
from tests.browser.gallery import Gallery, expect_loaded
from tests.browser.many import many_images
from tests.running_stack import Stack, running_stack

KEY_HEADER = "x-api-key"


@dataclass(frozen=True)
class Locked:
    """A stack and its API key."""

    stack: Stack
    key: str


@pytest.fixture(scope="module")
def locked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    options = ["--workers", "1", "--model", "demo", "--parameter", "ApiKeyRequired=true"]
    with running_stack(folder, *options) as stack:
        key = json.loads((folder / "ready.json").read_text())["api_key"]
        yield Locked(stack, key)


def enter(page: Page, key: str) -> None:
    dialog = page.locator("#key-dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key").fill(key)
    dialog.get_by_role("button").click()


def test_a_stack_with_a_key_works_like_any_other_and_the_bucket_never_gets_the_key(
    context: BrowserContext, page: Page, locked: Locked, photo: Path
) -> None:
    sent: list[tuple[str, str | None]] = []
    page.on("request", lambda request: sent.append((request.url, request.headers.get(KEY_HEADER))))
    address = str(locked.stack.api.base_url)
    page.goto(address)

    enter(page, "wrong" * 8)
    expect(page.locator("#key-dialog")).to_contain_text("not valid")
    enter(page, f" {locked.key} ")

    gallery = Gallery(page, address)
    expect(page.locator("#empty")).to_contain_text("No pictures yet")
    gallery.upload(photo)
    picture = gallery.finished("my photo.jpg").locator("img")
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    expect_loaded(picture)
    viewer = gallery.open_viewer("my photo.jpg")
    expect(viewer.locator(".stage img")).to_have_js_property("naturalWidth", 900)
    with page.expect_download() as downloading:
        viewer.get_by_role("group", name="Download").get_by_role("button", name="Original").click()
    assert Path(downloading.value.path()).read_bytes() == photo.read_bytes()
    viewer.get_by_label("Add a tag").fill("locked")
    viewer.get_by_role("button", name="Save").click()
    expect(viewer.locator(".details-form .note")).to_have_text("Saved")

    to_api = [key for url, key in sent if url.startswith(address)]
    elsewhere = [(url, key) for url, key in sent if not url.startswith(address)]
    assert locked.key in to_api
    assert any(url.startswith(locked.stack.s3.meta.endpoint_url) for url, _ in elsewhere), "the bucket was called"
    assert {key for _, key in elsewhere} == {None}
    assert not [url for url, _ in sent if locked.key in url]


def test_the_documentation_sends_the_key_that_the_reader_enters(page: Page, locked: Locked) -> None:
    docs = DocsPage(page, str(locked.stack.api.base_url).rstrip("/")).open()
    expect(docs.try_out("stats").locator(".response-col_status")).to_contain_text("401")

    docs.authorize(locked.key)

    response = docs.try_out("stats")
    expect(response.locator(".response-col_status")).to_contain_text("200")
    expect(response.locator(".response-col_description")).to_contain_text("success_rate")
    assert docs.foreign == []


def test_the_key_is_stored_only_for_the_tab(context: BrowserContext, page: Page, locked: Locked) -> None:
    address = str(locked.stack.api.base_url)
    page.goto(address)
    enter(page, locked.key)
    expect(page.locator("#key-dialog")).to_be_hidden()

    page.reload()
    expect(page.locator(".tile.total strong")).not_to_have_text("–")
    expect(page.locator("#key-dialog")).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert context.cookies() == []

    other = context.new_page()
    other.goto(address)
    expect(other.locator("#key-dialog")).to_be_visible()


def test_pictures_that_need_a_key_are_loaded_only_near_the_visible_area(page: Page, locked: Locked) -> None:
    headers = {"X-Api-Key": locked.key}
    for number in range(12):
        body = pictures.jpeg(60, 40, quality=90 - number)
        files = {"file": (f"{number}.jpg", body)}
        assert locked.stack.api.post("/api/images", files=files, headers=headers).status_code == 202
    page.set_viewport_size({"width": 390, "height": 500})
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "/thumbnails/" in request.url else None)
    page.goto(str(locked.stack.api.base_url))
    enter(page, locked.key)
    gallery = Gallery(page, "")
    expect(page.locator('.card[data-status="success"]').nth(11)).to_be_attached(timeout=30_000)

    expect_loaded(gallery.cards.first.locator("img"))
    before_scrolling = len(fetched)
    last = gallery.cards.last.locator("img")
    assert last.get_attribute("src") is None
    last.scroll_into_view_if_needed()
    expect(last).to_have_attribute("src", re.compile("^blob:"))
    assert len(fetched) > before_scrolling


@pytest.mark.slow
def test_pictures_that_need_a_key_are_loaded_once_and_kept_in_the_browser(
    page: Page, locked: Locked, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second visit sends the key for the lists only. The cache is that of this browser (`private`)."""
    number = 60
    address = str(locked.stack.api.base_url)
    page.goto(address)
    enter(page, locked.key)
    expect(page.locator("#key-dialog")).to_be_hidden()
    page.goto("about:blank")  # else the page could load pictures before the first visit
    with many_images(locked.stack, number, photograph_files()[:12]):
        visits = two_visits(Gallery(page, address), number)

    with capsys.disabled():
        for count, measured in enumerate(visits, start=1):
            print(f"\n{number} images with a key, 1.6 Mbit/s, visit {count}: {measured}")


def test_a_late_thumbnail_does_not_replace_the_original(
    context: BrowserContext, page: Page, locked: Locked, photo: Path
) -> None:
    headers = {"X-Api-Key": locked.key}
    with photo.open("rb") as file:
        posted = locked.stack.api.post("/api/images", files={"file": ("late.jpg", file)}, headers=headers)
    image_id = posted.json()["image_id"]
    page.goto(str(locked.stack.api.base_url))
    enter(page, locked.key)
    gallery = Gallery(page, "")
    expect_loaded(gallery.finished("late.jpg").locator("img"))

    held: list[Route] = []
    page.route(
        f"**/api/images/{image_id}/thumbnails/large*", lambda route: held.append(route)
    )  # a built-in method cannot be a handler
    picture = gallery.open_viewer("late.jpg").locator(".stage img")
    page.get_by_role("button", name=re.compile("Show the original")).click()
    expect(picture).to_have_js_property("naturalWidth", 900)
    assert len(held) == 1
    with page.expect_event("requestfinished", lambda request: "/thumbnails/large" in request.url):
        held[0].continue_()
    # After some animation frames the page has done everything that it does with the response.
    page.evaluate("async () => { for (let turn = 0; turn < 20; turn++) await new Promise(requestAnimationFrame); }")
    expect(picture).to_have_js_property("naturalWidth", 900)
