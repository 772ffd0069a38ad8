"""The selection of many images and what can be done to them, the order of the list, and the keys of the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests import pictures
from tests.browser.gallery import Gallery
from tests.browser.many import Seed, finished
from tests.running_stack import Stack, until


@pytest.fixture
def five(page: Page, stack: Stack, gallery: Gallery) -> Gallery:
    """The gallery with "picture 4.jpg" (the newest) to "picture 0.jpg"."""
    for number in range(5):
        stack.finished(stack.upload(pictures.jpeg(90 + number, 60), f"picture {number}.jpg"))
    expect(gallery.cards).to_have_count(5)
    return gallery


def select(gallery: Gallery, *numbers: int) -> None:
    for number in numbers:
        card = gallery.card(f"picture {number}.jpg")
        card.hover()
        card.get_by_role("checkbox").check()


def names(stack: Stack) -> list[str]:
    return sorted(image["data"]["original_name"] for image in stack.images())


def test_selected_images_are_deleted_together_and_can_be_brought_back(
    page: Page, stack: Stack, five: Gallery
) -> None:
    select(five, 1, 3)
    expect(page.locator("#selected-count")).to_have_text("2 selected")
    page.get_by_role("button", name="Delete").click()
    expect(five.cards).to_have_count(3)
    toast = page.locator(".toast", has_text="2 images deleted")
    toast.get_by_role("button", name="Undo").click()
    expect(five.cards).to_have_count(5)
    assert len(names(stack)) == 5

    select(five, 1, 3)
    page.get_by_role("button", name="Delete").click()

    until(lambda: names(stack) == ["picture 0.jpg", "picture 2.jpg", "picture 4.jpg"], seconds=20)
    expect(page.locator("#selection")).to_be_hidden()


def test_tags_are_added_to_those_that_an_image_has(page: Page, stack: Stack, five: Gallery) -> None:
    ids = {image["data"]["original_name"]: image["data"]["image_id"] for image in stack.images()}
    stack.api.patch(f"/api/images/{ids['picture 2.jpg']}", json={"tags": ["lake"]})
    select(five, 2, 4)
    page.get_by_role("button", name="Add tags").click()
    page.get_by_label("Tags to add").fill("winter, Lake, ")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_have_text("2 images tagged")
    assert stack.image(ids["picture 2.jpg"])["data"]["tags"] == ["lake", "winter"]
    assert stack.image(ids["picture 4.jpg"])["data"]["tags"] == ["winter", "Lake"]


def test_selected_images_are_reprocessed_and_downloaded_and_their_texts_copied(
    page: Page, context: BrowserContext, stack: Stack, five: Gallery
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    select(five, 0, 1)
    page.get_by_role("button", name="Copy alt texts").click()
    expect(page.locator(".toast")).to_have_text("Alt texts copied")
    caption = stack.images()[0]["data"]["metadata"]["caption"]
    assert page.evaluate("navigator.clipboard.readText()").splitlines()[0] == f"picture 1.jpg\t{caption}"

    downloads: list[str] = []
    page.on("download", lambda download: downloads.append(download.suggested_filename))
    with page.expect_event("download", lambda _: len(downloads) == 2):
        page.get_by_role("button", name="Download").click()
    assert sorted(downloads) == ["picture 0.jpg", "picture 1.jpg"]

    page.get_by_role("button", name="Reprocess").click()
    expect(page.locator(".toast", has_text="Reprocessing 2 images.")).to_be_visible()


def test_images_are_selected_by_range_all_at_once_and_by_the_select_button(page: Page, five: Gallery) -> None:
    page.get_by_role("button", name="Select", exact=True).click()
    five.card("picture 4.jpg").locator(".open").click()
    five.card("picture 2.jpg").locator(".open").click(modifiers=["Shift"])
    expect(page.locator(".card.selected")).to_have_count(3)
    expect(page.locator("#viewer")).to_be_hidden()
    page.keyboard.press("Control+a")
    expect(page.locator("#selected-count")).to_have_text("5 selected")
    five.card("picture 0.jpg").locator(".open").click()
    expect(page.locator("#selected-count")).to_have_text("4 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_be_hidden()
    five.open_viewer("picture 0.jpg")


def test_the_oldest_images_come_first_if_asked_for(page: Page, stack: Stack, seed: Seed) -> None:
    seed.put([finished(index, seed.thumbnails) for index in range(60)])
    gallery = Gallery(page, str(stack.api.base_url)).open()
    expect(gallery.cards.first).to_contain_text("picture 059.jpg")

    page.select_option("#order", "oldest")

    expect(gallery.cards.first).to_contain_text("picture 000.jpg")
    page.mouse.wheel(0, 20_000)
    expect(gallery.cards).to_have_count(60)
    shown = page.locator(".card .name").all_text_contents()
    assert shown == [f"picture {number:03}.jpg" for number in range(60)]
    page.reload()
    expect(gallery.cards.first).to_contain_text("picture 000.jpg")


def test_an_upload_at_the_end_of_the_oldest_first_list_is_confirmed(page: Page, stack: Stack, seed: Seed) -> None:
    seed.put([finished(index, seed.thumbnails) for index in range(150)])
    gallery = Gallery(page, str(stack.api.base_url)).open("?order=oldest")
    expect(gallery.cards.first).to_contain_text("picture 000.jpg")
    gallery.upload({"name": "new.jpg", "mimeType": "image/jpeg", "buffer": pictures.jpeg(90, 60)})
    toast = page.locator(".toast", has_text="New images are at the end of this list.")
    toast.get_by_role("button", name="Newest first").click()
    expect(gallery.cards.first).to_contain_text("new.jpg")


def test_the_focus_stays_near_the_selection(page: Page, five: Gallery) -> None:
    select(five, 1, 3)
    page.get_by_role("button", name="Add tags").click()
    page.keyboard.press("Escape")
    expect(page.locator("#tag-form")).to_be_hidden()
    expect(page.get_by_role("button", name="Add tags")).to_be_focused()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Select", exact=True)).to_be_focused()


def test_a_slash_goes_to_the_search_and_a_question_mark_lists_the_keys(page: Page, gallery: Gallery) -> None:
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("what?/")
    expect(page.locator("#search")).to_have_value("what?/")
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert gallery.findings() == []
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_captions_can_be_hidden_until_a_picture_has_the_focus(page: Page, five: Gallery) -> None:
    line = five.cards.first.locator(".caption")
    caption = line.text_content() or ""
    assert caption
    opens = five.cards.first.get_by_role("button", name=caption)
    expect(opens).to_have_accessible_name(f"{caption} picture 4.jpg")  # once, not as alt text and as caption
    expect(line).to_have_css("opacity", "1")
    page.get_by_role("button", name="Captions").click()
    expect(line).to_have_css("opacity", "0")
    page.reload()
    expect(line).to_have_css("opacity", "0")
    page.locator("#show-keys").focus()
    page.keyboard.press("Tab")
    for _ in range(5):
        if five.cards.first.locator(".open").evaluate("(one) => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(line).to_have_css("opacity", "1")
