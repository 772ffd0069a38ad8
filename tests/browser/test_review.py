"""The review of captions, with the keyboard and on a phone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from image_core.model import Record
from tests.browser.gallery import Gallery
from tests.browser.many import Seed, finished
from tests.running_stack import Stack, until

Queue = Callable[[int], list[Record]]


@pytest.fixture
def queue(seed: Seed) -> Queue:
    """Writes images to review. Their order in the review is that of the list."""

    def write(number: int) -> list[Record]:
        records = [
            replace(
                finished(index, seed.thumbnails), caption=f"caption {index}", caption_confidence=(index + 1) / 100
            )
            for index in range(number)
        ]
        seed.put(records)
        return records

    return write


def words(stack: Stack, record: Record) -> tuple[Any, Any]:
    data = stack.image(record.image_id)["data"]
    return data["alt_text"], data["alt_text_source"]


def test_each_key_decides_and_z_takes_the_decision_back(page: Page, stack: Stack, queue: Queue) -> None:
    records = queue(5)
    gallery = Gallery(page, str(stack.api.base_url)).open()
    page.keyboard.press("r")
    caption, progress = page.locator("#review-caption"), page.locator("#review-progress")
    expect(caption).to_have_text("caption 0")
    expect(progress).to_have_text("1 of 5")
    expect(page.locator("#review-about")).to_have_text("picture 000.jpg · 1% confident")
    expect(page.locator("#review-accept")).to_be_focused()

    page.keyboard.press("a")
    expect(progress).to_have_text("2 of 5")
    page.keyboard.press("d")
    expect(progress).to_have_text("3 of 5")
    page.keyboard.press("n")
    expect(progress).to_have_text("4 of 5")
    page.keyboard.press("e")
    expect(page.locator("#review-text")).to_have_value("caption 3")
    page.keyboard.type("A lake, and a boat")
    page.keyboard.press("Enter")
    expect(progress).to_have_text("5 of 5")
    page.keyboard.press("a")
    expect(caption).to_have_text("Done: 4 images reviewed.")
    assert gallery.findings() == []
    until(lambda: words(stack, records[4])[0] == "caption 4", seconds=10)
    assert [words(stack, record) for record in records[:4]] == [
        ("caption 0", "caption"),
        ("", "person"),
        (None, None),
        ("A lake, and a boat", "person"),
    ]

    page.keyboard.press("z")
    expect(caption).to_have_text("caption 4")
    page.keyboard.press("z")
    expect(caption).to_have_text("caption 3")
    until(lambda: words(stack, records[3]) == (None, None) == words(stack, records[4]), seconds=10)
    page.keyboard.press("a")
    until(lambda: words(stack, records[3]) == ("caption 3", "caption"), seconds=10)
    page.keyboard.press("Escape")
    expect(page.locator("#review")).to_be_hidden()
    assert page.evaluate("location.hash") == ""


def test_typing_and_escape_in_the_text_do_not_decide_or_leave(page: Page, stack: Stack, queue: Queue) -> None:
    (record,) = queue(1)
    Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    page.keyboard.press("e")
    page.keyboard.type("adnz")
    expect(page.locator("#review-text")).to_have_value("adnz")
    page.keyboard.press("Escape")
    expect(page.locator("#review-form")).to_be_hidden()
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    assert words(stack, record) == (None, None)


def test_a_text_that_someone_else_wrote_meanwhile_is_kept(page: Page, stack: Stack, queue: Queue) -> None:
    (record,) = queue(1)
    Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    stack.api.patch(f"/api/images/{record.image_id}", json={"alt_text": "Theirs"})
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("someone else has changed it. Their text was kept.")
    assert words(stack, record) == ("Theirs", "person")


def test_a_decision_that_could_not_be_saved_comes_again(page: Page, stack: Stack, queue: Queue) -> None:
    first, _ = queue(2)
    Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    page.route(re.compile(f"{first.image_id}$"), lambda route: route.abort("connectionreset"))
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("was not saved and comes again at the end")
    page.unroute_all()
    page.keyboard.press("n")
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    page.keyboard.press("a")
    until(lambda: words(stack, first) == ("caption 0", "caption"), seconds=10)


def test_a_decision_may_be_taken_back_and_made_again_before_it_is_saved(
    page: Page, stack: Stack, queue: Queue
) -> None:
    first, _ = queue(2)
    Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    for key in "azdza":
        page.keyboard.press(key)
    expect(page.locator("#review-caption")).to_have_text("caption 1")
    until(lambda: words(stack, first) == ("caption 0", "caption"), seconds=10)
    expect(page.locator(".toast")).to_have_count(0)


def test_a_double_click_decides_about_one_image(page: Page, stack: Stack, queue: Queue) -> None:
    first, second = queue(2)
    Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    page.get_by_role("button", name="Accept").dblclick()
    expect(page.locator("#review-progress")).to_have_text("2 of 2")
    until(lambda: words(stack, first) == ("caption 0", "caption"), seconds=10)
    assert words(stack, second) == (None, None)


def test_an_empty_queue_says_that_there_is_nothing_to_do(page: Page, stack: Stack, empty: Stack) -> None:
    gallery = Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_contain_text("There is nothing to review")
    expect(page.locator("#review-accept")).to_be_disabled()
    assert gallery.findings() == []


def test_a_review_that_cannot_be_loaded_says_so_and_is_tried_again(page: Page, stack: Stack, queue: Queue) -> None:
    queue(1)
    page.route(re.compile(r"review=open"), lambda route: route.abort("connectionreset"))
    Gallery(page, str(stack.api.base_url)).open("#review")
    expect(page.locator("#review-caption")).to_contain_text("The captions could not be loaded.")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#review-caption")).to_have_text("caption 0")


def test_a_slow_page_of_captions_does_not_end_the_review(page: Page, stack: Stack, queue: Queue) -> None:
    queue(32)
    held: list[Route] = []
    page.route(re.compile(r"review=open.*cursor|cursor.*review=open"), lambda route: held.append(route))
    Gallery(page, str(stack.api.base_url)).open("#review")
    for number in range(30):
        expect(page.locator("#review-progress")).to_have_text(f"{number + 1} of 32")
        page.keyboard.press("n")
    expect(page.locator("#review-caption")).to_have_text("Loading …")
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator("#review-progress")).to_have_text("31 of 32")


@pytest.mark.parametrize(("width", "height"), [(360, 640), (844, 390)])
def test_the_review_fits_a_phone(browser: Browser, stack: Stack, queue: Queue, width: int, height: int) -> None:
    (record,) = queue(1)
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    page = context.new_page()
    gallery = Gallery(page, str(stack.api.base_url)).open()
    page.get_by_role("button", name="Review").tap()
    expect(page.locator("#review-caption")).to_have_text("caption 0")
    for name in ("Accept", "Edit", "Decorative", "Next", "Undo"):
        box = page.locator("#review").get_by_role("button", name=name).bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    stage = page.locator("#review-stage").bounding_box()
    assert stage
    assert stage["height"] > height / 2
    assert gallery.findings() == []
    page.get_by_role("button", name="Accept").tap()
    until(lambda: words(stack, record) == ("caption 0", "caption"), seconds=10)
    context.close()


def test_twenty_images_are_reviewed_with_the_keyboard_alone(
    page: Page, stack: Stack, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    records = queue(20)
    Gallery(page, str(stack.api.base_url)).open()
    started = time.monotonic()
    page.keyboard.press("r")
    for number in range(20):
        expect(page.locator("#review-progress")).to_have_text(f"{number + 1} of 20")
        page.keyboard.press("a")
    expect(page.locator("#review-caption")).to_have_text("Done: 20 images reviewed.")
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\n20 images reviewed with the keyboard in {seconds:.1f} s")
    for record in records:
        until(lambda record=record: words(stack, record)[1] == "caption", seconds=10)
