"""PATCH /api/images/{image_id}: the user's texts, which no transition of the pipeline overwrites."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from image_core.errors import CaptionFailed, RetriesExhausted
from image_core.keys import new_image_id
from image_core.model import Record, Status
from tests.functional.emulator import Stack, preceded_by
from tests.functional.http_api import Api, Response, request
from tests.functional.images import (
    LEASE_SECONDS,
    METADATA,
    attempt_thumbnails,
    image_in,
    outcome,
    stored_image,
    stored_object,
)

WORDS = {"title": "Lake at dawn", "alt_text": "A lake between mountains", "tags": ["lake", "dawn"]}


def patch(api: Api, image_id: str, change: Any, **headers: str) -> Response:
    body = change if isinstance(change, bytes) else json.dumps(change).encode()
    path = f"/api/images/{image_id}"
    return api.send(request("http_post_json.json", path, method="PATCH", headers=headers, body=body))


def texts_in(response: Response) -> dict[str, Any]:
    data = response.json()["data"]
    return {name: data[name] for name in WORDS}


def test_texts_are_set_and_returned_everywhere(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    response = patch(api, record.image_id, WORDS)
    image = api.get(f"/api/images/{record.image_id}")
    assert response.status == 200
    assert texts_in(response) == WORDS
    assert response.json() == image.json() | {"warnings": []}
    assert image.json() == api.get("/api/images").json()["data"][0]
    assert response.headers["etag"] == image.headers["etag"]
    assert stack.counts() == {"success": 1}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, WORDS),
        ({"title": "New"}, WORDS | {"title": "New"}),
        ({"title": None}, WORDS | {"title": None}),
        ({"alt_text": ""}, WORDS | {"alt_text": ""}),
        ({"tags": ["one"]}, WORDS | {"tags": ["one"]}),
        ({"tags": []}, WORDS | {"tags": []}),
        ({"tags": None}, WORDS | {"tags": []}),
        ({"tags": ["b", "a", "b"]}, WORDS | {"tags": ["b", "a"]}),
        ({"title": None, "alt_text": None, "tags": None}, {"title": None, "alt_text": None, "tags": []}),
        ({"tags": ["b", "a", "B", " b "]}, WORDS | {"tags": ["b", "a"]}),
        ({"title": " 山\n\u202e\x00\U0001f98a\t"}, WORDS | {"title": "山 \U0001f98a"}),
        ({"tags": ["\U0001f468\u200d\U0001f469"]}, WORDS | {"tags": ["\U0001f468\u200d\U0001f469"]}),
        ({"title": " \u202e\n"}, WORDS | {"title": None}),
        ({"alt_text": "  "}, WORDS | {"alt_text": None}),
        ({"tags": ["lake", "\x99 "]}, WORDS | {"tags": ["lake"]}),
        ({"alt_text": " two\nlines\u2066 "}, WORDS | {"alt_text": "two lines"}),
    ],
)
def test_omitted_texts_stay_and_null_clears_one(
    stack: Stack, api: Api, change: dict[str, Any], left: dict[str, Any]
) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    patch(api, record.image_id, WORDS)
    assert texts_in(patch(api, record.image_id, change)) == left
    assert texts_in(api.get(f"/api/images/{record.image_id}")) == left


# Whose alt text it is


def source(response: Response) -> tuple[str | None, str | None]:
    data = response.json()["data"]
    return data["alt_text"], data["alt_text_source"]


def test_an_accepted_caption_is_the_alt_text_and_stays_when_the_caption_changes(stack: Stack, api: Api) -> None:
    record = stored_image(stack, Status.SUCCESS)
    accepted = patch(api, record.image_id, {"alt_text_from": "caption"})
    assert source(accepted) == (record.caption, "caption")

    records = stack.records
    again = records.reprocess(stack.the_record(), pending_seconds=30)
    claimed = records.claim(again, stored_object(again, again.version or ""), lease_seconds=LEASE_SECONDS)
    saved = records.save(claimed, metadata=METADATA, thumbnails=attempt_thumbnails(claimed))
    records.finish(saved, replace(outcome(), caption="something else"))
    image = api.get(f"/api/images/{record.image_id}")
    assert image.json()["data"]["metadata"]["caption"] == "something else"
    assert source(image) == (record.caption, "caption")


def test_the_source_of_an_alt_text_is_the_person_who_changes_it(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    assert source(patch(api, record.image_id, {"title": "x"})) == (None, None)
    assert source(patch(api, record.image_id, {"alt_text": "mine"})) == ("mine", "person")
    assert source(patch(api, record.image_id, {"alt_text_from": "caption"})) == (record.caption, "caption")
    assert source(patch(api, record.image_id, {"title": "y", "alt_text_from": None})) == (record.caption, "caption")
    assert source(patch(api, record.image_id, {"alt_text": record.caption})) == (record.caption, "person")
    assert source(patch(api, record.image_id, {"alt_text": ""})) == ("", "person")
    assert source(patch(api, record.image_id, {"alt_text": None})) == (None, None)


def test_a_record_of_an_earlier_version_has_the_alt_text_of_a_person(stack: Stack, api: Api) -> None:
    record = stack.records.describe(image_in(stack.records, Status.SUCCESS), title=None, alt_text="mine", tags=None)
    assert record.alt_text_source is None
    assert source(api.get(f"/api/images/{record.image_id}")) == ("mine", "person")


def test_a_caption_that_does_not_exist_yet_cannot_be_accepted(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.PENDING)
    response = patch(api, record.image_id, {"alt_text_from": "caption"})
    assert (response.status, response.code) == (409, "no_caption")
    assert "no caption (yet)" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"alt_text": "x" * 151}, "has 151 characters"),
        ({"alt_text": "An image of a lake"}, "leave out “An image of”"),
        ({"alt_text": "photo showing a lake"}, "leave out “photo showing”"),
        ({"alt_text": "IMG_2041 (1).JPG"}, "is a file name"),
        ({"alt_text": "photo.jpg"}, "is a file name"),
        ({"alt_text": "lake at DAWN", "title": "Lake at dawn"}, "equals the title"),
    ],
)
def test_a_useless_alt_text_is_saved_with_a_warning(
    stack: Stack, api: Api, change: dict[str, str], warning: str
) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    response = patch(api, record.image_id, change)
    assert (response.status, response.json()["data"]["alt_text"]) == (200, change["alt_text"])
    (found,) = response.json()["warnings"]
    assert warning in found


@pytest.mark.parametrize("text", ["x" * 150, "A lake", "Images of the moon", "", None, "A photographer"])
def test_a_good_alt_text_has_no_warning(stack: Stack, api: Api, text: str | None) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    assert patch(api, record.image_id, {"title": "Lake", "alt_text": text}).json()["warnings"] == []


def test_an_unchanged_patch_writes_nothing(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    patch(api, record.image_id, WORDS)
    before = stack.the_record()
    etag = api.get(f"/api/images/{record.image_id}").headers["etag"]
    assert patch(api, record.image_id, WORDS).headers["etag"] == etag
    assert patch(api, record.image_id, {}).status == 200
    assert stack.the_record() == before


@pytest.mark.parametrize("content_type", ["application/json", "application/merge-patch+json; charset=utf-8"])
def test_a_patch_accepts_the_merge_patch_content_type(stack: Stack, api: Api, content_type: str) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    assert patch(api, record.image_id, {"title": "x"}, content_type=content_type).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"alt_text_from": "person"},
        {"alt_text_from": "caption", "alt_text": "mine"},
        {"title": 5},
        {"title": "lone\ud800surrogate"},
        {"alt_text": "x" * 2001},
        {"tags": "lake"},
        {"tags": [""]},
        {"tags": [None]},
        {"tags": ["x" * 65]},
        {"tags": [str(number) for number in range(51)]},
        {"caption": "mine"},
        {"status": "success"},
        [],
        None,
        "title",
        b"{nope",
        b"",
    ],
)
def test_invalid_texts_are_refused_and_change_nothing(stack: Stack, api: Api, change: Any) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    response = patch(api, record.image_id, change)
    assert (response.status, response.code) == (422, "invalid_request")
    assert stack.every() == [record]


def test_texts_of_the_maximum_length_are_accepted(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    longest = {
        "title": "é" * 200,
        "alt_text": "\U0001f98a" * 2000,
        "tags": [f"{number:02}" + "山" * 62 for number in range(50)],
    }
    assert texts_in(patch(api, record.image_id, longest)) == longest


def test_a_missing_or_deleting_image_cannot_be_patched(stack: Stack, api: Api) -> None:
    for image_id in (new_image_id(), "img_short", image_in(stack.records, Status.DELETING).image_id):
        response = patch(api, image_id, WORDS)
        assert (response.status, response.code) == (404, "not_found")


# Nothing overwrites the texts


def described(stack: Stack, record: Record) -> Record:
    return stack.records.describe(record, title="mine", alt_text="also mine", tags=("a", "b"))


def texts_of(record: Record) -> tuple[Any, ...]:
    return record.title, record.alt_text, record.tags


MINE = ("mine", "also mine", ("a", "b"))


def test_texts_survive_every_transition(stack: Stack) -> None:
    records = stack.records
    record = described(stack, image_in(records, Status.RESERVED))
    record = records.claim(record, stored_object(record), lease_seconds=LEASE_SECONDS)
    assert texts_of(record) == MINE
    record = records.save(record, metadata=METADATA, thumbnails=attempt_thumbnails(record))
    record = records.finish(record, outcome(caption="the machine's"))
    assert texts_of(record) == MINE
    record = records.reprocess(record, pending_seconds=30)
    record = records.postpone(record, deadline_seconds=30)
    record = records.claim(record, stored_object(record), lease_seconds=LEASE_SECONDS)
    record = records.fail(record, CaptionFailed())
    assert texts_of(record) == MINE
    record = records.give_up(records.reprocess(record, pending_seconds=1), None, RetriesExhausted())
    assert texts_of(record) == MINE
    assert texts_of(stack.the_record()) == MINE


def test_texts_survive_a_new_file_under_the_same_key(stack: Stack) -> None:
    record = described(stack, image_in(stack.records, Status.SUCCESS))
    record = stack.records.claim(record, stored_object(record, "v2"), lease_seconds=LEASE_SECONDS)
    record = stack.records.save(record, metadata=METADATA, thumbnails=attempt_thumbnails(record))
    assert texts_of(stack.records.finish(record, outcome())) == MINE


def test_texts_written_during_processing_stay_and_do_not_interrupt_it(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.PROCESSING)
    assert patch(api, record.image_id, WORDS).status == 200
    saved = stack.records.save(record, metadata=METADATA, thumbnails=attempt_thumbnails(record))
    assert patch(api, record.image_id, {"title": "Again"}).status == 200
    stack.records.finish(saved, outcome())
    image = api.get(f"/api/images/{record.image_id}")
    assert image.json()["status"] == "success"
    assert texts_in(image) == WORDS | {"title": "Again"}


def test_texts_are_added_to_the_results_of_a_simultaneous_transition(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.PROCESSING)
    other = stack.other_records()
    stack.dynamodb.plan("put_item", preceded_by(lambda: other.finish(record, outcome())))
    response = patch(api, record.image_id, WORDS)
    assert (response.status, response.json()["status"]) == (200, "success")
    assert texts_in(response) == WORDS


# Lost updates


def test_the_second_of_two_writes_based_on_one_read_is_refused(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    etag = api.get(f"/api/images/{record.image_id}").headers["etag"]
    first = patch(api, record.image_id, {"title": "first"}, if_match=etag)
    second = patch(api, record.image_id, {"title": "second"}, if_match=etag)
    assert first.status == 200
    assert (second.status, second.code) == (412, "precondition_failed")
    assert stack.the_record().title == "first"
    assert patch(api, record.image_id, {"title": "second"}, if_match=first.headers["etag"]).status == 200


def test_a_write_between_check_and_update_is_detected(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    etag = api.get(f"/api/images/{record.image_id}").headers["etag"]
    other = stack.other_records()
    first = preceded_by(lambda: other.describe(record, title="first", alt_text=None, tags=None))
    stack.dynamodb.plan("put_item", first)
    response = patch(api, record.image_id, {"title": "second"}, if_match=etag)
    assert (response.status, response.code) == (412, "precondition_failed")
    assert stack.the_record().title == "first"


def test_without_a_condition_the_last_write_of_each_text_wins(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    other = stack.other_records()
    first = preceded_by(lambda: other.describe(record, title="first", alt_text=None, tags=None))
    stack.dynamodb.plan("put_item", first)
    assert patch(api, record.image_id, {"tags": ["second"]}).status == 200
    assert (stack.the_record().title, stack.the_record().tags) == ("first", ("second",))


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("*", 200),
        ("{etag}", 200),
        ('"other", {etag}', 200),
        ("W/{etag}", 412),
        ('"other"', 412),
        ("no tag at all", 412),
        ("", 412),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_condition_is_compared_strongly(stack: Stack, api: Api, method: str, if_match: str, status: int) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    header = if_match.format(etag=api.get(path).headers["etag"])
    if method == "PATCH":
        assert patch(api, record.image_id, WORDS, if_match=header).status == status
    else:
        response = api.send(request("http_delete.json", path, headers={"if-match": header}))
        assert response.status == (204 if status == 200 else 412)
        assert bool(stack.every()) == (status == 412)


# The ETag of the texts


def text_etag(response: Response) -> str:
    tag: str = response.json()["data"]["text_etag"]
    return tag


def test_the_text_etag_changes_only_with_the_texts(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.PROCESSING)
    path = f"/api/images/{record.image_id}"
    tags = [text_etag(api.get(path))]
    for change in ({"title": "x"}, {"alt_text": ""}, {"alt_text": "x"}, {"tags": ["a, b"]}, {"tags": ["a", "b"]}):
        tags.append(text_etag(patch(api, record.image_id, change)))
    saved = stack.records.save(stack.the_record(), metadata=METADATA, thumbnails=attempt_thumbnails(record))
    stack.records.finish(saved, outcome())
    finished = api.get(path)

    assert len(set(tags)) == len(tags)
    assert finished.json()["status"] == "success"
    assert text_etag(finished) == tags[-1] != finished.headers["etag"]
    assert text_etag(patch(api, record.image_id, dict.fromkeys(WORDS))) == tags[0]


def test_a_new_caption_does_not_prevent_saving_texts(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.PROCESSING)
    read = api.get(f"/api/images/{record.image_id}")
    saved = stack.records.save(record, metadata=METADATA, thumbnails=attempt_thumbnails(record))
    stack.records.finish(saved, outcome())

    assert patch(api, record.image_id, WORDS, if_match=read.headers["etag"]).status == 412
    response = patch(api, record.image_id, WORDS, if_match=text_etag(read))
    assert (response.status, texts_in(response)) == (200, WORDS)


def test_a_caption_between_check_and_update_is_no_conflict(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.PROCESSING)
    read = api.get(f"/api/images/{record.image_id}")
    other = stack.other_records()
    stack.dynamodb.plan("put_item", preceded_by(lambda: other.finish(record, outcome())))
    response = patch(api, record.image_id, WORDS, if_match=text_etag(read))
    assert (response.status, response.json()["status"]) == (200, "success")


@pytest.mark.parametrize(
    ("if_match", "status"), [("{tag}", 200), ('"other", {tag}', 200), ("W/{tag}", 412), ("{unquoted}", 412)]
)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_text_etag_is_compared_strongly(stack: Stack, api: Api, method: str, if_match: str, status: int) -> None:
    record = stored_image(stack, Status.SUCCESS)
    path = f"/api/images/{record.image_id}"
    tag = text_etag(api.get(path))
    header = if_match.format(tag=tag, unquoted=tag.strip('"'))
    if method == "PATCH":
        assert patch(api, record.image_id, WORDS, if_match=header).status == status
    else:
        response = api.send(request("http_delete.json", path, headers={"if-match": header}))
        assert response.status == (204 if status == 200 else 412)


def test_the_second_of_two_text_writes_based_on_one_read_is_refused(stack: Stack, api: Api) -> None:
    record = image_in(stack.records, Status.SUCCESS)
    read = text_etag(api.get(f"/api/images/{record.image_id}"))
    first = patch(api, record.image_id, {"title": "first"}, if_match=read)
    second = patch(api, record.image_id, {"title": "second"}, if_match=read)
    assert (first.status, second.status, second.code) == (200, 412, "precondition_failed")
    assert patch(api, record.image_id, {"title": "second"}, if_match=text_etag(first)).status == 200


def test_a_condition_on_a_missing_image_is_not_found(api: Api) -> None:
    assert patch(api, new_image_id(), WORDS, if_match="*").code == "not_found"
