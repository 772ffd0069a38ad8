"""Uploads in the gallery: every way to add files, over any connection, with the result shown."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests import pictures
from tests.browser.gallery import SECONDS, Gallery
from tests.running_stack import Stack


def test_dropped_files_are_uploaded_and_other_files_are_skipped(gallery: Gallery) -> None:
    gallery.drop(
        [
            ("dropped.png", "image/png", pictures.png(90, 60)),
            ("notes.txt", "text/plain", b"not a picture"),
            ("no type.jpeg", "", pictures.jpeg(90, 60)),
        ]
    )

    gallery.finished("dropped.png")
    gallery.finished("no type.jpeg")
    expect(gallery.cards).to_have_count(2)
    expect(gallery.page.locator(".toast")).to_contain_text("1 file skipped")


def test_a_file_dropped_on_the_viewer_shows_its_upload(gallery: Gallery, stack: Stack) -> None:
    stack.finished(stack.upload(pictures.jpeg(90, 60), "first.jpg"))
    gallery.finished("first.jpg")
    gallery.open_viewer("first.jpg")
    gallery.page.route(re.compile("^(?!.*/api/)"), lambda route: None)  # the upload never ends
    gallery.drop([("second.jpg", "image/jpeg", pictures.jpeg(80, 60))])
    cancel = gallery.page.get_by_role("button", name="Cancel second.jpg")
    cancel.click()
    expect(gallery.page.locator("#viewer")).to_be_visible()
    gallery.page.keyboard.press("Escape")
    expect(gallery.page.locator("#uploads")).to_be_visible()


def test_a_folder_is_uploaded_completely(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(pictures.jpeg(90, 60))
    (folder / "deeper" / "b.png").write_bytes(pictures.png(90, 60))
    (folder / "deeper" / "thumbs.db").write_bytes(b"no picture")

    gallery.page.set_input_files("#folder", folder)

    gallery.finished("a.jpg")
    gallery.finished("b.png")
    expect(gallery.cards).to_have_count(2)


def test_a_pasted_picture_is_uploaded(gallery: Gallery) -> None:
    gallery.page.evaluate(
        """(bytes) => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        list(pictures.png(90, 60)),
    )

    gallery.finished("image.png")


def test_a_refused_file_shows_the_reason(gallery: Gallery) -> None:
    gallery.upload({"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""})
    gallery.upload({"name": "drawing.svg", "mimeType": "image/svg+xml", "buffer": pictures.SVG})

    rows = gallery.page.locator("#upload-list li")
    expect(rows.filter(has_text="empty.jpg").locator(".note")).to_have_text("The file is empty.")
    expect(rows.filter(has_text="drawing.svg").locator(".note")).to_contain_text("Supported formats")
    gallery.page.get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(0)


def test_a_file_that_is_too_large_is_refused_before_a_byte_is_sent(gallery: Gallery) -> None:
    requested: list[str] = []
    gallery.page.on("request", lambda request: requested.append(request.url))
    limits = gallery.page.evaluate(
        "fetch('.', { headers: { Accept: 'application/json' } }).then((answer) => answer.json())"
    )["limits"]

    gallery.page.evaluate(
        """(size) => {
            const transfer = new DataTransfer();
            const file = new File(["x"], "huge.jpg", { type: "image/jpeg" });
            Object.defineProperty(File.prototype, "size", { get: () => size, configurable: true });
            transfer.items.add(file);
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        limits["max_image_bytes"] + 1,
    )

    note = gallery.page.locator("#upload-list li", has_text="huge.jpg").locator(".note")
    expect(note).to_contain_text("; the limit is")
    assert not [url for url in requested if "/api/uploads" in url]


def test_an_error_of_the_bucket_is_explained(gallery: Gallery, photo: Path) -> None:
    expired = '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'

    def refuse(route: Route) -> None:
        if route.request.method != "PUT":
            route.continue_()
        else:
            headers = {"Access-Control-Allow-Origin": "*"}
            route.fulfill(status=403, body=expired, content_type="application/xml", headers=headers)

    gallery.page.route(re.compile("^(?!.*/api/)"), refuse)
    gallery.upload(photo)
    note = gallery.page.locator("#upload-list li", has_text=photo.name).locator(".note")
    expect(note).to_contain_text("link has expired")

    gallery.page.unroute_all()
    gallery.page.get_by_role("button", name="Retry failed").click()
    gallery.finished(photo.name)


@pytest.mark.parametrize(
    ("status", "words"), [(413, "too large for the service"), (415, "does not support files of this kind")]
)
def test_a_file_that_would_be_refused_again_offers_no_retry(
    gallery: Gallery, photo: Path, status: int, words: str
) -> None:
    """These responses are API Gateway's."""
    gallery.page.route("**/api/uploads", partial(Route.fulfill, status=status, json={"message": "x"}))
    gallery.upload(photo)
    row = gallery.page.locator("#upload-list li", has_text=photo.name)
    expect(row.locator(".note")).to_contain_text(words)
    expect(row.locator("progress")).to_be_hidden()
    expect(gallery.page.get_by_role("button", name="Retry")).to_have_count(0)
    row.get_by_role("button", name="Remove").click()
    expect(gallery.page.locator("#uploads")).to_be_hidden()


def test_the_uploads_fold_and_long_names_show_both_ends(gallery: Gallery) -> None:
    gallery.page.route("**/api/uploads", lambda route: None)
    name = "a photograph of the lake with mountains " * 3 + "0042.jpg"
    gallery.upload({"name": name, "mimeType": "image/jpeg", "buffer": pictures.jpeg(90, 60)})
    uploads = gallery.page.locator("#uploads")
    file = uploads.locator(".file")
    expect(file).to_have_text(name)
    head, tail = file.locator(".head").bounding_box(), file.locator(".tail").bounding_box()
    frame = file.bounding_box()
    assert head and tail and frame
    assert head["width"] > 100
    assert tail["x"] + tail["width"] <= frame["x"] + frame["width"] + 1

    uploads.get_by_role("button", name="Hide").click()

    expect(file).to_be_hidden()
    expect(uploads.get_by_role("heading")).to_have_text("Uploads: 1 file left")
    uploads.get_by_role("button", name="Show").click()
    expect(file).to_be_visible()


def test_a_failed_image_shows_the_reason_and_no_retry_that_cannot_help(gallery: Gallery) -> None:
    gallery.upload({"name": "cut.jpg", "mimeType": "image/jpeg", "buffer": pictures.jpeg(900, 600)[:3000]})

    card = gallery.finished("cut.jpg", "failed")
    expect(card.locator(".caption")).to_have_text("The file is incomplete.")
    expect(gallery.page.locator(".tile.failed strong")).to_have_text("1")
    expect(card.get_by_role("button", name="Retry")).to_have_count(0)


def test_a_slow_upload_shows_its_progress_and_can_be_canceled(
    gallery: Gallery, context: BrowserContext, stack: Stack
) -> None:
    network = context.new_cdp_session(gallery.page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 50, "downloadThroughput": 1_000_000, "uploadThroughput": 60_000}
    network.send("Network.emulateNetworkConditions", slow)
    body = pictures.encode(pictures.noise(500, 400), "JPEG", quality=95)

    gallery.upload({"name": "long.jpg", "mimeType": "image/jpeg", "buffer": body})

    row = gallery.page.locator("#upload-list li", has_text="long.jpg")
    expect(row.locator(".note")).to_have_text(re.compile(r"\d+\.\d KB of \d+\.\d KB"))
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".note")).to_have_text("Canceled")
    stack.s3.put_object(Bucket=stack.bucket, Key="marker.png", Body=pictures.png(80, 60))
    gallery.finished("marker.png")
    expect(gallery.cards).to_have_count(1)
    slow["uploadThroughput"] = -1
    network.send("Network.emulateNetworkConditions", slow)
    row.get_by_role("button", name="Retry").click()
    gallery.finished("long.jpg")


def test_an_upload_survives_a_connection_that_breaks(gallery: Gallery, photo: Path, stack: Stack) -> None:
    broken: list[str] = []

    def break_once(route: Route) -> None:
        if route.request.method == "PUT" and not broken:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    gallery.page.route(re.compile("^(?!.*/api/)"), break_once)

    gallery.upload(photo)

    gallery.finished("my photo.jpg")
    assert len(broken) == 1
    assert len(stack.images()) == 1


def test_a_lost_reservation_response_creates_no_second_image(gallery: Gallery, photo: Path, stack: Stack) -> None:
    lost: list[str] = []

    def lose_once(route: Route) -> None:
        if not lost:
            lost.append(str(route.fetch().json()["image_id"]))
            route.abort("connectionreset")
        else:
            route.continue_()

    gallery.page.route("**/api/uploads", lose_once)

    gallery.upload(photo)

    gallery.finished("my photo.jpg")
    assert [image["data"]["image_id"] for image in stack.images()] == lost


def test_a_manual_retry_after_a_lost_connection_creates_no_second_image(
    gallery: Gallery, photo: Path, stack: Stack
) -> None:
    """Three tries fail. The fourth and last automatic try arrives, but its response is lost."""
    keys: list[str] = []
    puts: list[str] = []
    gallery.page.on(
        "request",
        lambda request: keys.append(request.headers["idempotency-key"]) if request.method == "POST" else None,
    )

    def lose_each(route: Route) -> None:
        if route.request.method != "PUT":
            route.continue_()
            return
        puts.append(route.request.url)
        if len(puts) == 4:
            # Playwright does not see the bytes of a file that the page sends.
            assert route.fetch(post_data=photo.read_bytes()).ok
        route.abort("connectionreset")

    gallery.page.route(re.compile("^(?!.*/api/)"), lose_each)
    gallery.upload(photo)
    row = gallery.page.locator("#upload-list li", has_text=photo.name)
    expect(row.locator(".note")).to_have_text("The connection was lost.", timeout=40 * SECONDS)
    gallery.page.unroute_all()

    row.get_by_role("button", name="Retry").click()

    gallery.finished(photo.name)
    expect(row).to_have_count(0)
    assert len(stack.images()) == 1
    assert len(keys) == 5
    assert len(set(keys)) == 1


def test_a_retry_after_a_refusal_is_a_new_request(gallery: Gallery, photo: Path) -> None:
    keys: list[str] = []

    def refuse_once(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            error = {"code": "image_deleted", "message": "The image of this Idempotency-Key was deleted."}
            route.fulfill(status=409, json={"status": "error", "data": None, "error": error})
        else:
            route.continue_()

    gallery.page.route("**/api/uploads", refuse_once)
    gallery.upload(photo)
    gallery.page.get_by_role("button", name="Retry failed").click()

    gallery.finished(photo.name)
    assert len(set(keys)) == 2


def test_an_unreadable_response_does_not_stop_the_page(gallery: Gallery, stack: Stack) -> None:
    broken: list[str] = []

    def break_once(route: Route) -> None:
        if broken:
            route.continue_()
        else:
            broken.append(route.request.url)
            route.fulfill(json={"status": "success", "data": None, "next_cursor": None, "error": None})

    gallery.page.route(re.compile(r"/api/images\?"), break_once)
    with gallery.page.expect_event("console", lambda message: message.type == "error"):
        stack.upload(pictures.jpeg(90, 60), "later.jpg")

    gallery.finished("later.jpg")
    assert len(broken) == 1


def test_the_page_shows_that_the_service_is_unreachable_and_recovers(
    gallery: Gallery, context: BrowserContext, stack: Stack
) -> None:
    context.set_offline(True)
    notice = gallery.page.locator("#offline")
    expect(notice).to_contain_text("You are offline", timeout=30 * SECONDS)
    gallery.page.locator("#search").click(trial=True)  # nothing covers what is still useful
    gallery.page.locator("#pick").click(trial=True)
    stack.upload(pictures.jpeg(90, 60), "meanwhile.jpg")

    context.set_offline(False)

    expect(gallery.page.locator("#offline")).to_be_hidden(timeout=60 * SECONDS)
    gallery.finished("meanwhile.jpg")


def test_a_duplicate_file_is_reported(gallery: Gallery, photo: Path, stack: Stack) -> None:
    gallery.upload(photo)
    gallery.finished("my photo.jpg")
    first = stack.images()[0]["data"]["image_id"]

    gallery.upload({"name": "again.jpg", "mimeType": "image/jpeg", "buffer": photo.read_bytes()})
    gallery.finished("again.jpg")

    toast = gallery.page.locator(".toast", has_text="again.jpg is already here")
    toast.get_by_role("button", name="Show").click()
    expect(gallery.page).to_have_url(re.compile(f"#{first}$"))
    gallery.page.get_by_role("button", name="Close").click()
    gallery.open_viewer("again.jpg").get_by_role("link", name="show the first upload").click()
    expect(gallery.page).to_have_url(re.compile(f"#{first}$"))
    expect(gallery.page.get_by_role("dialog").get_by_role("heading", name="my photo.jpg")).to_be_visible()
