"""Many pictures over a slow connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.delivery import held_thumbnails, photograph_files, placeholders_in_view, two_visits
from tests.browser.gallery import Gallery
from tests.browser.many import many_images
from tests.running_stack import Stack

IMAGES = 500


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    return photograph_files()


@pytest.fixture
def five_hundred(empty: Stack, photographs: list[bytes]) -> Iterator[Stack]:
    with many_images(empty, IMAGES, photographs):
        yield empty


@pytest.mark.slow
def test_five_hundred_pictures_appear_as_placeholders_move_nothing_and_are_loaded_once(
    browser: Browser, page: Page, five_hundred: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    address = str(five_hundred.api.base_url)
    other = browser.new_context(viewport=page.viewport_size).new_page()  # its cache is not that of the visits
    with held_thumbnails(other):
        gallery = Gallery(other, address).open()
        expect(gallery.cards.nth(49)).to_be_attached()
        differences = placeholders_in_view(other)
    other.context.close()

    visits = two_visits(Gallery(page, address), IMAGES)

    with capsys.disabled():
        print(f"\nplaceholders in view, differences of their pixels: {differences}")
        for number, measured in enumerate(visits, start=1):
            print(f"{IMAGES} images, 1.6 Mbit/s, visit {number}: {measured}")
    assert len(differences) >= 10
    assert all(difference and difference > 20 for difference in differences)
