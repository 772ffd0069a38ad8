"""A user's journey: from the file to the picture with its caption, and everything that can be done with it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests import pictures
from tests.browser.gallery import PROCESSED, Gallery, expect_loaded
from tests.browser.many import captioning, claimed, finished, seeding
from tests.running_stack import Stack, until


def test_a_picked_photo_gets_its_thumbnail_and_caption_without_a_reload(
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
    expect(gallery.page.locator("#summary")).to_contain_text("1 image · 100.00% successful · median")
    gallery.page.locator("#summary").click()
    expect(gallery.page.locator("#times svg")).to_be_visible()


def test_each_stage_is_shown_and_thumbnails_appear_before_the_caption(gallery: Gallery, stack: Stack) -> None:
    with seeding(stack) as seed:
        done = finished(0, seed.thumbnails)
        seed.put([claimed(done)])
        card = gallery.card("picture 000.jpg", "processing")
        expect(card.locator(".caption")).to_have_text("Making thumbnails")
        assert card.locator("img").get_attribute("src") is None

        seed.put([captioning(done)])
        expect(card.locator(".caption")).to_have_text("Writing the caption")
        expect_loaded(card.locator("img"))
        loaded = card.locator("img").get_attribute("src")
        viewer = gallery.open_viewer("picture 000.jpg")
        viewer.locator(".file summary").click()
        expect(viewer.locator(".file")).to_contain_text("metadata done, thumbnails done, caption pending")

        seed.put([done])
        expect(viewer.locator(".caption")).to_have_text("four fields of color")
        viewer.get_by_role("button", name="Close").click()
        card = gallery.finished("picture 000.jpg")
        expect(card.locator(".caption")).to_have_text("four fields of color")
        assert card.locator("img").get_attribute("src") == loaded, "the thumbnail must not be loaded again"


def test_the_viewer_shows_the_rendition_that_fits_and_the_original_on_demand(gallery: Gallery, photo: Path) -> None:
    photo.write_bytes(pictures.jpeg(1800, 1200))
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    originals: list[str] = []
    gallery.page.on("request", lambda sent: originals.append(sent.url) if "/original" in sent.url else None)

    viewer = gallery.open_viewer("my photo.jpg")

    picture = viewer.locator(".stage img")
    expect_loaded(picture)
    assert picture.evaluate("(img) => [img.naturalWidth, img.naturalHeight]") == [1280, 853]
    box = picture.bounding_box()
    assert originals == []
    viewer.get_by_role("button", name=re.compile("Show the original")).click()
    expect(picture).to_have_js_property("naturalWidth", 1800)
    assert picture.bounding_box() == box, "nothing moves"
    assert len(originals) == 1
    expect(viewer.locator(".original")).to_be_hidden()


def test_the_viewer_has_metadata_and_exif(gallery: Gallery, photo: Path) -> None:
    photo.write_bytes(pictures.jpeg(900, 600, orientation=6))
    gallery.upload(photo)
    gallery.finished("my photo.jpg")

    viewer = gallery.open_viewer("my photo.jpg")

    expect(viewer.locator(".about > .metadata")).to_contain_text("900 × 600 pixels")
    viewer.locator(".exif summary").click()
    expect(viewer.locator(".exif table")).to_contain_text("Orientation")


def test_downloads_are_the_original_and_the_thumbnails(gallery: Gallery, photo: Path) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    viewer = gallery.open_viewer("my photo.jpg")

    downloads = viewer.get_by_role("group", name="Download")
    for button, suffix in (("Original", "my photo.jpg"), ("Medium", "-medium.jpg"), ("Large", "-large.webp")):
        with gallery.page.expect_download() as downloading:
            downloads.get_by_role("button", name=button).click()
        body = Path(downloading.value.path()).read_bytes()
        assert (body == photo.read_bytes()) is (button == "Original")
        assert downloading.value.suggested_filename.endswith(suffix)
        assert Image.open(io.BytesIO(body)).format == ("WEBP" if button == "Large" else "JPEG")


def test_an_image_shows_the_thumbnail_sizes_that_it_has(gallery: Gallery, stack: Stack, page: Page) -> None:
    """One image has sizes with other names than the default ones."""
    sizes = {"thumb": (64, 48), "large": (1024, 768)}
    fetched: list[str] = []

    def other_sizes(route: Route) -> None:
        body = route.fetch().json()
        images = body["data"] if isinstance(body["data"], list) else [body]
        for image in images:
            base = f"{stack.api.base_url}/api/images/{image['data']['image_id']}/thumbnails/"
            image["data"]["renditions"] = [
                {"name": size, "url": base + size, "width": w, "height": h, "bytes": 9, "format": "jpeg"}
                for size, (w, h) in sizes.items()
            ]
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

        viewer = gallery.open_viewer("picture 000.jpg")

        expect(viewer.locator(".stage img")).to_have_js_property("naturalWidth", 1024)
        buttons = viewer.get_by_role("group", name="Download").get_by_role("button")
        expect(buttons).to_have_text(["Original", "Thumb", "Large"])
        with page.expect_download() as downloading:
            buttons.nth(1).click()
        assert Path(downloading.value.path()).read_bytes() == pictures.jpeg(*sizes["thumb"])
        assert downloading.value.suggested_filename.endswith("-thumb.jpg")
        assert set(fetched) == set(sizes)


def save(viewer: Locator) -> None:
    viewer.get_by_role("button", name="Save").click()
    expect(viewer.locator(".details-form .note")).to_have_text("Saved")


def chips(viewer: Locator) -> Locator:
    return viewer.locator(".tags .chip")


@pytest.fixture
def described(gallery: Gallery, stack: Stack) -> str:
    """The id of an image on the page with a title, tags with commas, and an empty alt text (decorative)."""
    image_id = stack.upload(pictures.jpeg(900, 600), "wall.jpg")
    stack.finished(image_id)
    words = {"title": "Wall", "alt_text": "", "tags": ["Paris, France", "stone"]}
    stack.api.patch(f"/api/images/{image_id}", json=words)
    gallery.finished("Wall")
    return image_id


def test_title_alt_text_and_tags_are_saved_and_shown(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    viewer = gallery.open_viewer("my photo.jpg")

    viewer.get_by_label("Title").fill("Four fields")
    viewer.get_by_label("Alt text").fill("Red, green, blue and yellow")
    for tag in ("drawn", "Paris, France", "drawn"):
        viewer.get_by_label("Add a tag").fill(tag)
        viewer.get_by_label("Add a tag").press("Enter")
    expect(chips(viewer).locator("span")).to_have_text(["drawn", "Paris, France"])
    viewer.get_by_label("Add a tag").fill("typed, not entered")
    save(viewer)
    expect(chips(viewer)).to_have_count(3)
    viewer.get_by_role("button", name="Remove tag drawn").click()
    expect(viewer.get_by_role("button", name="Remove tag Paris, France")).to_be_focused()
    save(viewer)
    viewer.get_by_role("button", name="Close").click()

    expect(gallery.card("Four fields").locator("img")).to_have_attribute("alt", "Red, green, blue and yellow")
    data = stack.images()[0]["data"]
    assert (data["title"], data["tags"]) == ("Four fields", ["Paris, France", "typed, not entered"])


def test_an_alt_text_that_is_no_help_is_saved_with_a_warning(gallery: Gallery, stack: Stack, photo: Path) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    viewer = gallery.open_viewer("my photo.jpg")
    viewer.get_by_label("Alt text").fill("Image of a lake")
    viewer.get_by_role("button", name="Save").click()
    expect(viewer.locator(".details-form .note")).to_contain_text("Saved. Screen readers already say")
    assert stack.images()[0]["data"]["alt_text"] == "Image of a lake"


def test_saving_sends_only_changed_fields(gallery: Gallery, stack: Stack, described: str) -> None:
    sent: list[Any] = []
    gallery.page.on(
        "request", lambda request: sent.append(request.post_data_json) if request.method == "PATCH" else None
    )
    before = stack.image(described)["data"]
    viewer = gallery.open_viewer("Wall")

    viewer.get_by_role("button", name="Save").click()
    expect(viewer.locator(".details-form .note")).to_have_text("There are no changes to save.")
    viewer.get_by_label("Title").fill("Old wall")
    save(viewer)

    assert sent == [{"title": "Old wall"}]
    after = stack.image(described)["data"]
    assert (
        (after["alt_text"], after["tags"])
        == (before["alt_text"], before["tags"])
        == ("", ["Paris, France", "stone"])
    )


def test_a_decorative_picture_has_an_empty_alt_until_it_gets_a_text(
    gallery: Gallery, stack: Stack, described: str
) -> None:
    """An empty alt text differs from a missing one, which the caption replaces."""
    expect(gallery.card("Wall").locator("img")).to_have_attribute("alt", "")
    viewer = gallery.open_viewer("Wall")
    expect(viewer.locator(".stage img")).to_have_attribute("alt", "")
    decorative = viewer.get_by_label("Decorative")
    expect(decorative).to_be_checked()
    expect(viewer.get_by_label("Alt text")).to_be_disabled()

    decorative.uncheck()
    save(viewer)
    data = stack.image(described)["data"]
    assert data["alt_text"] is None
    expect(viewer.locator(".stage img")).to_have_attribute("alt", data["metadata"]["caption"])
    expect(gallery.card("Wall").locator("img")).to_have_attribute("alt", data["metadata"]["caption"])

    decorative.check()
    save(viewer)
    assert stack.image(described)["data"]["alt_text"] == ""
    expect(gallery.card("Wall").locator("img")).to_have_attribute("alt", "")


def test_the_form_has_the_limits_of_the_api(gallery: Gallery, stack: Stack, described: str) -> None:
    """Lengths are counted as in the API, where an emoji is one character."""
    schema = stack.api.get("/openapi.json").json()["components"]["schemas"]["ImagePatch"]["properties"]

    def of_kind(name: str, kind: str) -> dict[str, Any]:
        return next(option for option in schema[name]["anyOf"] if option["type"] == kind)

    tags = of_kind("tags", "array")
    viewer = gallery.open_viewer("Wall")
    viewer.get_by_label("Decorative").uncheck()
    for label, limit in (
        ("Title", of_kind("title", "string")["maxLength"]),
        ("Alt text", of_kind("alt_text", "string")["maxLength"]),
        ("Add a tag", tags["items"]["maxLength"]),
    ):
        field = viewer.get_by_label(label)
        for length, is_valid in ((limit, True), (limit + 1, False)):
            field.fill("🖼" * length)
            assert field.evaluate("(field) => field.checkValidity()") is is_valid, (label, length)
        field.fill("")
    field.evaluate(
        """(field, tags) => {
            for (const tag of tags) {
                field.value = tag;
                field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
            }
        }""",
        [f"tag {number}" for number in range(tags["maxItems"])],
    )
    expect(chips(viewer)).to_have_count(tags["maxItems"])
    field.fill("one more")
    assert field.evaluate("(field) => field.checkValidity()") is False

    field.fill("")
    viewer.get_by_label("Title").fill("🖼" * 200)
    viewer.get_by_label("Alt text").fill("🖼" * 2000)
    viewer.get_by_role("button", name="Save").click()
    expect(viewer.locator(".details-form .note")).to_contain_text("Saved. The alt text has 2000 characters")


@pytest.mark.parametrize("is_kept", [True, False], ids=["mine", "theirs"])
def test_a_conflicting_change_is_shown_and_the_user_chooses(
    gallery: Gallery, stack: Stack, described: str, is_kept: bool
) -> None:
    """This includes changes that were saved before the user started to type."""
    viewer = gallery.open_viewer("Wall")
    expect(viewer.get_by_label("Title")).to_have_value("Wall")
    gallery.page.route(re.compile(r"/api/images\?"), lambda route: None)  # the page does not learn about the change
    theirs = {"title": "Theirs", "tags": ["Rome, Italy"]}
    stack.api.patch(f"/api/images/{described}", json=theirs)
    viewer.get_by_label("Title").fill("Mine")
    viewer.get_by_role("button", name="Save").click()

    conflict = viewer.get_by_role("alert")
    expect(conflict).to_contain_text("Someone else changed this image")
    expect(conflict.locator("dt")).to_have_text(["Title", "Tags"])
    expect(conflict.locator("dd")).to_have_text(["Theirs", "Rome, Italy"])
    expect(viewer.get_by_role("button", name="Save")).to_be_hidden()
    viewer.get_by_label("Title").press("Enter")
    expect(conflict).to_be_visible()
    assert stack.image(described)["data"]["title"] == "Theirs"

    conflict.get_by_role("button", name="Keep mine" if is_kept else "Use theirs").click()

    expect(conflict).to_be_hidden()
    expect(chips(viewer).locator("span")).to_have_text(["Rome, Italy"])
    title = "Mine" if is_kept else "Theirs"
    expect(viewer.get_by_label("Title")).to_have_value(title)
    data = stack.image(described)["data"]
    assert (data["title"], data["alt_text"], data["tags"]) == (title, "", ["Rome, Italy"])


def test_a_caption_that_arrives_while_the_user_types_is_no_conflict(gallery: Gallery, stack: Stack) -> None:
    with seeding(stack) as seed:
        done = finished(0, seed.thumbnails)
        seed.put([captioning(done)])
        gallery.card("picture 000.jpg", "processing").wait_for()
        viewer = gallery.open_viewer("picture 000.jpg")
        viewer.get_by_label("Title").fill("Mine")

        seed.put([done])
        expect(viewer.locator(".caption")).to_have_text("four fields of color")
        expect(viewer.get_by_label("Title")).to_have_value("Mine")
        save(viewer)

        assert stack.image(done.image_id)["data"]["title"] == "Mine"


def test_the_form_follows_the_record_until_the_user_types(gallery: Gallery, stack: Stack, described: str) -> None:
    viewer = gallery.open_viewer("Wall")
    stack.api.patch(f"/api/images/{described}", json={"title": "Theirs", "tags": ["new"], "alt_text": "A wall"})

    expect(viewer.get_by_label("Title")).to_have_value("Theirs")
    expect(viewer.get_by_label("Alt text")).to_have_value("A wall")
    expect(chips(viewer).locator("span")).to_have_text(["new"])
    viewer.get_by_label("Alt text").fill("Mine")
    stack.api.patch(f"/api/images/{described}", json={"title": "Theirs again"})
    expect(viewer.locator("h2")).to_have_text("Theirs again")
    expect(viewer.get_by_label("Title")).to_have_value("Theirs")
    expect(viewer.get_by_label("Alt text")).to_have_value("Mine")


def test_arrow_keys_in_the_form_do_not_switch_the_image(gallery: Gallery, stack: Stack, described: str) -> None:
    stack.finished(stack.upload(pictures.jpeg(90, 60), "other.jpg"))
    gallery.finished("other.jpg")
    viewer = gallery.open_viewer("Wall")
    viewer.get_by_label("Title").fill("Typed")
    for name in ("Save", "Remove tag stone"):
        viewer.get_by_role("button", name=name).press("ArrowLeft")
    expect(viewer.get_by_label("Title")).to_have_value("Typed")


def test_a_deletion_can_be_undone_and_happens_only_after_that(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    image_id = stack.images()[0]["data"]["image_id"]

    gallery.open_viewer("my photo.jpg").get_by_role("button", name="Delete").click()
    expect(gallery.cards).to_have_count(0)
    gallery.page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(gallery.cards).to_have_count(1)
    assert stack.image(image_id)["status"] == "success"

    gallery.open_viewer("my photo.jpg").get_by_role("button", name="Delete").click()
    expect(gallery.cards).to_have_count(0)
    assert stack.image(image_id)["status"] == "success"
    until(lambda: stack.api.get(f"/api/images/{image_id}").status_code == 404, seconds=20)
    expect(gallery.page.locator("#empty")).to_contain_text("No pictures yet")


def test_leaving_the_page_does_not_undo_a_deletion(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    gallery.open_viewer("my photo.jpg").get_by_role("button", name="Delete").click()
    expect(gallery.cards).to_have_count(0)

    gallery.page.goto("about:blank")

    until(lambda: stack.images() == [], seconds=4)


@pytest.fixture
def failures(stack: Stack, gallery: Gallery) -> list[str]:
    """The ids of two images that failed because their file is archived, and of one whose file is damaged."""
    for number in range(2):
        key = f"archive/picture {number}.jpg"
        stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=pictures.jpeg(90, 60), StorageClass="GLACIER")
    stack.upload(pictures.jpeg(900, 600)[:2000], "picture 2.jpg")
    gallery.filter("failed")
    expect(gallery.cards).to_have_count(3, timeout=PROCESSED)
    by_name = {image["data"]["original_name"]: image["data"]["image_id"] for image in stack.images()}
    return [by_name[f"picture {number}.jpg"] for number in range(3)]


def test_retry_all_failed_reprocesses_the_images_that_may_succeed(
    gallery: Gallery, page: Page, failures: list[str]
) -> None:
    retried: list[str] = []
    page.on("response", lambda response: retried.append(response.url) if response.status == 202 else None)
    expect(gallery.cards.get_by_role("button", name="Retry")).to_have_count(2)

    page.get_by_role("button", name="Retry all failed").click()

    expect(page.locator(".toast")).to_contain_text("Reprocessing 2 images")
    assert sorted(url.split("/")[-2] for url in retried) == sorted(failures[:2])


def test_retry_all_failed_with_a_search_reprocesses_only_its_failed_images(
    gallery: Gallery, stack: Stack, page: Page, failures: list[str]
) -> None:
    until(lambda: len(stack.api.get("/api/images?q=1&status=failed").json()["data"]) == 1, seconds=30)
    page.fill("#search", "1")
    expect(gallery.cards).to_have_count(1)

    with page.expect_response(lambda response: response.status == 202) as retried:
        page.get_by_role("button", name="Retry all failed").click()

    assert failures[1] in retried.value.url


def test_an_image_can_be_reprocessed_from_its_viewer(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    before = stack.images()[0]["data"]["image_id"]

    with gallery.page.expect_response("**/reprocess") as response:
        gallery.open_viewer("my photo.jpg").get_by_role("button", name="Reprocess").click()

    assert response.value.status == 202
    assert stack.finished(before)["status"] == "success"


def test_files_dropped_into_the_bucket_appear_without_a_reload(gallery: Gallery, stack: Stack) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="camera/one.png", Body=pictures.png(80, 60))
    gallery.finished("one.png")

    stack.s3.delete_object(Bucket=stack.bucket, Key="camera/one.png")
    expect(gallery.cards).to_have_count(0, timeout=PROCESSED)


def test_the_status_filter_lists_only_that_status(gallery: Gallery, stack: Stack, page: Page) -> None:
    stack.finished(stack.upload(pictures.jpeg(), "good.jpg"))
    stack.finished(stack.upload(pictures.jpeg(900, 600)[:2000], "cut.jpg"))

    gallery.filter("failed")

    expect(gallery.cards).to_have_count(1)
    gallery.finished("cut.jpg", "failed")
    gallery.filter("")
    expect(gallery.cards).to_have_count(2)


def test_a_url_opens_its_image_and_back_closes_it(gallery: Gallery, photo: Path, stack: Stack) -> None:
    image_id = stack.upload(photo.read_bytes(), photo.name)
    stack.finished(image_id)
    page = gallery.page

    page.goto("about:blank")
    gallery.open(f"#{image_id}")
    expect(page.locator("#viewer h2")).to_have_text("my photo.jpg")
    page.keyboard.press("Escape")
    gallery.card("my photo.jpg").locator(".open").click()
    expect(page.locator("#viewer")).to_be_visible()
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
