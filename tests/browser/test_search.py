"""The search box: it searches all images, not only the loaded ones."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from image_core.model import Record
from tests import pictures
from tests.browser.gallery import Gallery
from tests.browser.many import Seed, finished
from tests.running_stack import Stack, until

HIGHLIGHTED = "() => [...(CSS.highlights.get('search') ?? [])].map(String)"


@pytest.fixture
def sixty(seed: Seed, empty: Stack) -> list[Record]:
    """Sixty images, more than a page. The oldest one has a title and a tag, and all can be found."""
    records = [finished(index, seed.thumbnails) for index in range(60)]
    records[0] = replace(records[0], title="Running at Lake Como", tags=("New York",))
    seed.put(records)
    until(lambda: found(empty, "picture", limit=100) == 60, seconds=30)
    return records


def found(stack: Stack, query: str, limit: int = 1) -> int:
    return len(stack.api.get(f"/api/images?limit={limit}&q={query}").json()["data"])


def test_an_image_that_is_not_loaded_is_found_and_its_words_are_highlighted(
    page: Page, empty: Stack, sixty: list[Record]
) -> None:
    gallery = Gallery(page, str(empty.api.base_url)).open()
    page.fill("#search", 'runs "lake como" tag:"new york" -winter')
    expect(gallery.cards).to_have_count(1)
    expect(gallery.card("Running at Lake Como")).to_be_visible()
    expect(page.locator("#found")).to_have_text("1 image found.")
    assert page.evaluate(HIGHLIGHTED) == ["Running", "Lake", "Como", "New", "York"]

    page.reload()
    expect(page.locator("#search")).to_have_value('runs "lake como" tag:"new york" -winter')
    expect(gallery.cards).to_have_count(1)
    page.fill("#search", "")
    expect(gallery.card("picture 059.jpg")).to_be_visible()
    assert page.evaluate("location.search") == ""
    assert page.evaluate(HIGHLIGHTED) == []


def test_a_page_of_a_result_is_not_called_all_of_it(page: Page, empty: Stack, sixty: list[Record]) -> None:
    held: list[Route] = []
    page.route(re.compile("cursor="), lambda route: held.append(route))  # a built-in method cannot be a handler
    gallery = Gallery(page, str(empty.api.base_url)).open("?q=pict")
    expect(page.locator("#found")).to_have_text("50 images found so far.")
    for route in held:
        route.continue_()
    expect(page.locator("#found")).to_have_text("60 images found.")
    expect(gallery.cards).to_have_count(60)


def test_a_slow_search_says_that_it_runs(page: Page, empty: Stack, sixty: list[Record]) -> None:
    held: list[Route] = []
    page.route(re.compile("q=como"), lambda route: held.append(route))
    gallery = Gallery(page, str(empty.api.base_url)).open("?q=pict")
    expect(page.locator("#found")).to_have_text("60 images found.")
    page.fill("#search", "como")
    expect(page.locator("#found")).to_have_text("Searching …")
    for route in held:
        route.continue_()
    expect(page.locator("#found")).to_have_text("1 image found.")
    expect(gallery.cards).to_have_count(1)


def test_an_upload_that_the_search_does_not_show_is_confirmed(page: Page, empty: Stack, photo: Path) -> None:
    gallery = Gallery(page, str(empty.api.base_url)).open("?q=mountain&status=success")
    another = photo.with_name("another.jpg")
    another.write_bytes(pictures.jpeg(90, 60))
    gallery.upload(photo, another)
    toast = page.locator(".toast")
    expect(toast).to_contain_text("Uploaded. Only images that match the search are shown.")
    expect(toast).to_have_count(1)
    toast.get_by_role("button", name="Show all").click()
    expect(gallery.cards).to_have_count(2)
    expect(page.locator("#search")).to_have_value("")
    assert page.evaluate("location.search") == ""


def test_characters_of_japanese_are_highlighted(page: Page, empty: Stack, seed: Seed) -> None:
    seed.put([replace(finished(0, seed.thumbnails), title="夜明けの湖")])
    until(lambda: found(empty, "湖") == 1, seconds=30)
    Gallery(page, str(empty.api.base_url)).open("?q=湖")
    expect(page.locator("#found")).to_have_text("1 image found.")
    assert page.evaluate(HIGHLIGHTED) == ["湖"]


def test_a_bad_query_says_why_and_the_images_stay(page: Page, empty: Stack, sixty: list[Record]) -> None:
    gallery = Gallery(page, str(empty.api.base_url)).open()
    page.fill("#search", '"lake')
    expect(page.locator("#found")).to_contain_text("without a matching one")
    expect(gallery.card("picture 059.jpg")).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)
    page.fill("#search", '"lake como"')
    expect(gallery.cards).to_have_count(1)


def test_a_bad_query_does_not_claim_that_nothing_matches(page: Page, empty: Stack) -> None:
    gallery = Gallery(page, str(empty.api.base_url)).open("?q=mountain")
    expect(page.locator("#empty")).to_contain_text("No image matches your search")
    page.fill("#search", '"mountain')
    expect(page.locator("#found")).to_contain_text("without a matching one")
    expect(page.locator("#empty")).to_be_hidden()
    assert gallery.findings() == []


def test_a_link_to_an_image_opens_it_although_the_search_does_not_find_it(
    page: Page, empty: Stack, sixty: list[Record]
) -> None:
    gallery = Gallery(page, str(empty.api.base_url)).open(f"?q=mountain#{sixty[5].image_id}")
    expect(page.locator("#viewer")).to_contain_text("picture 005.jpg")
    expect(gallery.cards).to_have_count(0)
    expect(page.locator("#empty")).to_contain_text("No image matches your search")
    page.keyboard.press("Escape")
    assert page.evaluate("location.search") == "?q=mountain"
