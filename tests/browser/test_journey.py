"""From the file to the picture with its caption, and what can be done with it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests import pictures
from tests.browser.gallery import PROCESSED, Gallery, expect_loaded
from tests.browser.many import captioning, claimed, finished, seeding
from tests.running_stack import Stack, until


def test_a_picked_photo_gets_its_thumbnail_and_caption_while_one_looks(
    gallery: Gallery, photo: Path, stack: Stack
) -> None:
    gallery.upload(photo)

    card = gallery.finished("my photo.jpg")

    picture = card.locator("img")
    expect(picture).to_have_attribute("src", re.compile("/api/images/img_.*/thumbnails/medium"))
    expect_loaded(picture)
    caption = stack.images()[0]["data"]["metadata"]["caption"]
    expect(card.locator(".caption")).to_have_text(caption)
    expect(picture).to_have_attribute("alt", caption)
    expect(gallery.page.locator("#uploads")).to_be_hidden()
    expect(gallery.page.locator(".tile.success strong")).to_have_text("1")
    expect(gallery.page.locator("#times svg")).to_be_visible()


def test_each_stage_is_told_and_thumbnails_are_there_before_the_caption(gallery: Gallery, stack: Stack) -> None:
    with seeding(stack) as seed:
        done = finished(0, seed.thumbnails)
        seed.put([claimed(done)])
        card = gallery.card("picture 000.jpg", "processing")
        expect(card.locator(".state")).to_have_text("Making thumbnails")
        assert card.locator("img").get_attribute("src") is None

        seed.put([captioning(done)])
        expect(card.locator(".state")).to_have_text("Writing the caption")
        expect_loaded(card.locator("img"))
        expect(card.locator(".caption")).to_have_text("")
        loaded = card.locator("img").get_attribute("src")
        detail = gallery.open_detail("picture 000.jpg")
        expect(detail.locator(".metadata")).to_contain_text("metadata done, thumbnails done, caption pending")

        seed.put([done])
        expect(detail.locator(".caption")).to_have_text("four fields of colour")
        detail.get_by_role("button", name="Close").click()
        card = gallery.finished("picture 000.jpg")
        expect(card.locator(".caption")).to_have_text("four fields of colour")
        assert card.locator("img").get_attribute("src") == loaded, "the thumbnail is not fetched again"


def test_the_detail_shows_the_picture_whole_with_metadata_and_exif(gallery: Gallery, photo: Path) -> None:
    photo.write_bytes(pictures.jpeg(900, 600, orientation=6))
    gallery.upload(photo)
    gallery.finished("my photo.jpg")

    detail = gallery.open_detail("my photo.jpg")

    expect(detail.locator(".shown img")).to_have_attribute("src", re.compile("^blob:"))
    assert detail.locator(".shown img").evaluate("(img) => img.naturalWidth") > 300
    expect(detail.locator(".metadata")).to_contain_text("900 × 600 pixels")
    detail.locator("summary").click()
    expect(detail.locator(".exif table")).to_contain_text("Orientation")


def test_downloads_are_the_original_and_the_thumbnails(gallery: Gallery, photo: Path) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    detail = gallery.open_detail("my photo.jpg")

    for button, check in (("Original", photo.read_bytes()), ("Medium", None)):
        with gallery.page.expect_download() as downloading:
            detail.get_by_role("button", name=button).click()
        body = Path(downloading.value.path()).read_bytes()
        assert check is None or body == check
        assert body.startswith(b"\xff\xd8")


def test_an_image_shows_the_thumbnail_sizes_that_it_has(gallery: Gallery, stack: Stack, page: Page) -> None:
    """Whatever the stack's sizes are called: here the record of one image has others than the default ones."""
    sizes = {"thumb": (64, 48), "large": (1024, 768)}
    fetched: list[str] = []

    def other_sizes(route: Route) -> None:
        body = route.fetch().json()
        images = body["data"] if isinstance(body["data"], list) else [body]
        for image in images:
            base = f"{stack.api.base_url}api/images/{image['data']['image_id']}/thumbnails/"
            image["data"]["thumbnails"] = {size: base + size for size in sizes}
        route.fulfill(json=body)

    def thumbnail(route: Route) -> None:
        size = route.request.url.split("/thumbnails/")[1].split("?")[0]
        fetched.append(size)
        route.fulfill(body=pictures.jpeg(*sizes[size]), content_type="image/jpeg")

    page.route(re.compile(r"/api/images(\?.*|/img_\w+)$"), other_sizes)
    page.route("**/thumbnails/**", thumbnail)
    with seeding(stack) as seed:
        tiff = finished(0, seed.thumbnails)
        seed.put([replace(tiff, metadata={**(tiff.metadata or {}), "format": "tiff"})])
        card = gallery.finished("picture 000.jpg").locator("img")
        expect_loaded(card)

        detail = gallery.open_detail("picture 000.jpg")

        expect(detail.locator(".shown img")).to_have_js_property("naturalWidth", 1024)
        buttons = detail.get_by_role("group", name="Download").get_by_role("button")
        expect(buttons).to_have_text(["Original", "Thumb", "Large"])
        with page.expect_download() as downloading:
            buttons.nth(1).click()
        assert Path(downloading.value.path()).read_bytes() == pictures.jpeg(*sizes["thumb"])
        assert downloading.value.suggested_filename.endswith("-thumb.jpg")
        assert set(fetched) == set(sizes)


def test_title_alt_text_and_tags_are_kept_and_shown(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    detail = gallery.open_detail("my photo.jpg")

    detail.get_by_label("Title").fill("Four fields")
    detail.get_by_label("Alt text").fill("Red, green, blue and yellow")
    detail.get_by_label("Tags").fill("drawn, colours, drawn")
    detail.get_by_role("button", name="Save").click()
    expect(detail.locator(".details-form .note")).to_have_text("Saved")
    detail.get_by_role("button", name="Close").click()

    expect(gallery.card("Four fields").locator("img")).to_have_attribute("alt", "Red, green, blue and yellow")
    data = stack.images()[0]["data"]
    assert (data["title"], data["tags"]) == ("Four fields", ["drawn", "colours"])
    gallery.page.fill("#search", "colours")
    expect(gallery.cards).to_have_count(1)
    gallery.page.fill("#search", "mountain")
    expect(gallery.cards).to_have_count(0)
    expect(gallery.page.locator("#empty")).to_contain_text("Nothing found")


def test_a_change_made_elsewhere_is_not_overwritten_unseen(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    detail = gallery.open_detail("my photo.jpg")
    image_id = stack.images()[0]["data"]["image_id"]

    with gallery.page.expect_response(lambda answer: answer.url.endswith(image_id)):
        detail.get_by_label("Title").focus()
    stack.api.patch(f"/api/images/{image_id}", json={"title": "Theirs"})
    detail.get_by_label("Title").fill("Mine")
    detail.get_by_role("button", name="Save").click()

    expect(detail.locator(".details-form .note")).to_contain_text("Somebody else")
    assert stack.image(image_id)["data"]["title"] == "Theirs"
    detail.get_by_role("button", name="Save").click()
    expect(detail.locator(".details-form .note")).to_have_text("Saved")
    assert stack.image(image_id)["data"]["title"] == "Mine"


def test_a_deletion_can_be_undone_and_is_done_only_after_that(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    image_id = stack.images()[0]["data"]["image_id"]

    gallery.open_detail("my photo.jpg").get_by_role("button", name="Delete").click()
    expect(gallery.cards).to_have_count(0)
    gallery.page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(gallery.cards).to_have_count(1)
    assert stack.image(image_id)["status"] == "success"

    gallery.open_detail("my photo.jpg").get_by_role("button", name="Delete").click()
    expect(gallery.cards).to_have_count(0)
    assert stack.image(image_id)["status"] == "success"
    until(lambda: stack.api.get(f"/api/images/{image_id}").status_code == 404, seconds=20)
    expect(gallery.page.locator("#empty")).to_contain_text("No pictures yet")


def test_who_leaves_the_page_does_not_undo(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    gallery.open_detail("my photo.jpg").get_by_role("button", name="Delete").click()
    expect(gallery.cards).to_have_count(0)

    gallery.page.goto("about:blank")

    until(lambda: stack.images() == [], seconds=4)


def test_all_that_failed_are_tried_again_at_once(gallery: Gallery, stack: Stack, page: Page) -> None:
    ids = [stack.upload(pictures.jpeg(900, 600)[:2000], f"cut {number}.jpg") for number in range(3)]
    for image_id in ids:
        stack.finished(image_id)
    retried: list[str] = []
    page.on("response", lambda answer: retried.append(answer.url) if answer.status == 202 else None)
    page.select_option("#status", "failed")
    expect(gallery.cards).to_have_count(3)

    page.get_by_role("button", name="Retry all that failed").click()

    expect(page.locator(".toast")).to_contain_text("3 images started again")
    assert sorted(url.split("/")[-2] for url in retried) == sorted(ids)
    for image_id in ids:
        assert stack.finished(image_id)["error"]["code"] == "corrupt_image"


def test_an_image_is_processed_again_from_its_detail(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    before = stack.images()[0]["data"]["image_id"]

    with gallery.page.expect_response("**/reprocess") as answer:
        gallery.open_detail("my photo.jpg").get_by_role("button", name="Process again").click()

    assert answer.value.status == 202
    assert stack.finished(before)["status"] == "success"


def test_files_that_are_dropped_in_the_bucket_appear_by_themselves(gallery: Gallery, stack: Stack) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="camera/one.png", Body=pictures.png(80, 60))
    gallery.finished("one.png")

    stack.s3.delete_object(Bucket=stack.bucket, Key="camera/one.png")
    expect(gallery.cards).to_have_count(0, timeout=PROCESSED)


def test_the_status_filter_lists_just_those(gallery: Gallery, stack: Stack, page: Page) -> None:
    stack.finished(stack.upload(pictures.jpeg(), "good.jpg"))
    stack.finished(stack.upload(pictures.jpeg(900, 600)[:2000], "cut.jpg"))

    page.select_option("#status", "failed")

    expect(gallery.cards).to_have_count(1)
    gallery.finished("cut.jpg", "failed")
    page.select_option("#status", "")
    expect(gallery.cards).to_have_count(2)


def test_an_address_opens_its_image_and_back_closes_it(gallery: Gallery, photo: Path, stack: Stack) -> None:
    image_id = stack.upload(photo.read_bytes(), photo.name)
    stack.finished(image_id)
    page = gallery.page

    page.goto("about:blank")
    gallery.open(f"#{image_id}")
    expect(page.locator("#detail h2")).to_have_text("my photo.jpg")
    page.keyboard.press("Escape")
    gallery.card("my photo.jpg").locator(".open").click()
    expect(page.locator("#detail")).to_be_visible()
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()
