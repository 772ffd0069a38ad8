"""`review=open`: images without an alt text, lowest confidence first. An index lists them, which may lag behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_core.model import Record, Status
from image_core.stores import queries
from image_core.stores.items import to_item
from image_core.stores.queries import Listing
from ops.rate import RateLimit
from ops.reindex import Reindexed, reindex
from tests.functional.emulator import Stack, followed_by
from tests.functional.http_api import Api, request
from tests.functional.images import (
    LEASE_SECONDS,
    METADATA,
    attempt_thumbnails,
    image_in,
    new_record,
    outcome,
    stored_object,
)


def captioned(stack: Stack, confidence: float | None, **fields: Any) -> str:
    """Create a successful image a second after the last one. Return its id."""
    stack.clock.advance(1)
    new = stack.records.create(new_record(stack.records))
    return finished(stack, new, caption_confidence=confidence, **fields).image_id


def finished(stack: Stack, record: Record, **fields: Any) -> Record:
    claimed = stack.records.claim(record, stored_object(record), lease_seconds=LEASE_SECONDS)
    saved = stack.records.save(claimed, metadata=METADATA, thumbnails=attempt_thumbnails(claimed))
    return stack.records.finish(saved, outcome(**fields))


def current(stack: Stack, image_id: str) -> Record:
    record = stack.records.get(image_id)
    assert record is not None
    return record


def patch(api: Api, image_id: str, **body: Any) -> None:
    path = f"/api/images/{image_id}"
    event = request("http_post_json.json", path, method="PATCH", body=json.dumps(body).encode())
    assert api.send(event).status == 200


def to_review(api: Api, query: str = "limit=100") -> list[str]:
    """Return the ids on all pages, in order."""
    found, cursor = [], ""
    while True:
        page = api.get("/api/images", f"review=open&{query}{cursor}").json()
        found += [image["data"]["image_id"] for image in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_the_lowest_confidence_comes_first_then_the_oldest_and_unknown_ones_before_all(
    stack: Stack, api: Api
) -> None:
    by_confidence = {share: captioned(stack, share) for share in (0.9, 0.1234, 1.0, 0.0, 0.1233)}
    unknown = [captioned(stack, None), captioned(stack, None, caption=None, caption_reason="empty")]
    again = captioned(stack, 0.9)
    wanted = [*unknown, *(by_confidence[share] for share in (0.0, 0.1233, 0.1234, 0.9)), again, by_confidence[1.0]]
    assert to_review(api) == wanted
    assert to_review(api, "limit=1") == to_review(api, "limit=3") == wanted


@pytest.mark.parametrize(
    "texts",
    [{"alt_text": "a lake"}, {"alt_text": ""}, {"alt_text_from": "caption"}],
    ids=["own", "decorative", "accepted"],
)
def test_an_image_leaves_with_its_alt_text_and_returns_when_that_is_cleared(
    stack: Stack, api: Api, texts: dict[str, str]
) -> None:
    image_id = captioned(stack, 0.5)
    patch(api, image_id, title="Lake", tags=["lake"])
    assert to_review(api) == [image_id], "other texts are no review"
    patch(api, image_id, **texts)
    assert to_review(api) == []
    patch(api, image_id, alt_text=None)
    assert to_review(api) == [image_id]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUCCESS])
def test_only_successful_images_are_open(stack: Stack, api: Api, status: Status) -> None:
    image_in(stack.records, status)
    assert to_review(api) == []


def test_a_reprocessed_image_is_away_until_it_has_its_new_confidence(stack: Stack, api: Api) -> None:
    first, second = captioned(stack, 0.2), captioned(stack, 0.3)
    pending = stack.records.reprocess(current(stack, first), pending_seconds=30)
    assert to_review(api) == [second]
    finished(stack, pending, caption_confidence=0.4)
    assert to_review(api) == [second, first]


def test_an_accepted_image_stays_reviewed_when_its_caption_changes(stack: Stack, api: Api) -> None:
    image_id = captioned(stack, 0.2)
    patch(api, image_id, alt_text_from="caption")
    finished(stack, stack.records.reprocess(current(stack, image_id), pending_seconds=30), caption="another lake")
    assert current(stack, image_id).alt_text == "a photo of a red square"
    assert to_review(api) == []


def test_an_image_that_was_reviewed_after_the_index_was_read_is_left_out(stack: Stack) -> None:
    ids = [captioned(stack, share) for share in (0.1, 0.2, 0.3)]

    def review_the_first() -> None:
        other = stack.other_records()
        record = other.get(ids[0])
        assert record is not None
        other.describe(record, title=None, alt_text="", tags=None)

    stack.dynamodb.plan("query", followed_by(review_the_first))
    page = stack.records.read(Listing(review=True), limit=2)
    assert [record.image_id for record in page.records] == ids[1:]


def test_the_first_page_says_how_many_are_open(stack: Stack, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for share in (0.1, 0.2, 0.3):
        captioned(stack, share)
    image_in(stack.records, Status.FAILED)
    page = api.get("/api/images", "review=open&limit=2").json()
    assert (len(page["data"]), page["review_count"]) == (2, 3)
    following = api.get("/api/images", f"review=open&limit=2&cursor={page['next_cursor']}").json()
    assert (len(following["data"]), following["review_count"]) == (1, None)
    for query in ("", "review=open&q=red", "status=success"):
        assert api.get("/api/images", query).json()["review_count"] is None
    monkeypatch.setattr(queries, "MAX_COUNTED", 2)
    assert api.get("/api/images", "review=open").json()["review_count"] == 2


def test_counting_continues_after_the_first_megabyte(stack: Stack) -> None:
    for share in (0.1, 0.2, 0.3):
        captioned(stack, share)

    def cut_short(call: Any, arguments: dict[str, Any]) -> Any:
        return call(**arguments | {"Limit": 2})

    stack.dynamodb.plan("query", cut_short)
    assert stack.records.count_open() == 3
    assert len(stack.dynamodb.arguments("query")) == 2


def test_a_search_narrows_the_images_to_review_and_keeps_their_order(stack: Stack, api: Api) -> None:
    lake, _, boat = (
        captioned(stack, share, caption=text)
        for share, text in ((0.7, "a lake"), (0.1, "a dog"), (0.3, "a lake boat"))
    )
    assert to_review(api, "q=lake") == [boat, lake]
    assert to_review(api, "q=lake+-boat") == to_review(api, "q=-boat+-dog&limit=1") == [lake]
    bad = api.get("/api/images", "review=open&q=%22")
    assert (bad.status, bad.code) == (400, "bad_query")


@pytest.mark.parametrize(
    "other",
    [
        "status=success",
        "created_after=2026-11-20T10:00:00Z",
        "created_before=2026-11-20T10:00:00Z",
        f"sha256={'0' * 64}",
        "order=oldest",
    ],
)
def test_other_filters_cannot_be_combined_with_it(api: Api, other: str) -> None:
    response = api.get("/api/images", f"review=open&{other}")
    assert (response.status, response.code) == (400, "bad_query")
    assert "can only be combined with `q`" in response.json()["error"]["message"]


@pytest.mark.parametrize("value", ["", "closed", "OPEN"])
def test_an_unknown_review_is_refused(api: Api, value: str) -> None:
    response = api.get("/api/images", f"review={value}")
    assert (response.status, response.code) == (422, "invalid_request")


def test_images_of_an_earlier_version_are_open_after_reindexing(stack: Stack, api: Api) -> None:
    image_id = captioned(stack, None)
    item = to_item(current(stack, image_id))
    for name in ("review", "review_order"):
        del item[name]
    stack.dynamodb.put_item(TableName=stack.settings.images_table, Item=item)
    stack.update_search_index()
    assert to_review(api) == []
    rate = RateLimit(100, now_ms=stack.clock, sleep=stack.clock.sleep)
    assert reindex(stack.services, apply=True, rate=rate, done=Reindexed()) == Reindexed(outdated=1, written=1)
    assert to_review(api) == [image_id]
