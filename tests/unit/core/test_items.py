"""Records as DynamoDB items: nothing is lost, and the index keys are correct."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_core.model import PUBLIC_STATUSES, Record, Status, ThumbnailInfo, Thumbnails
from image_core.stores.items import (
    created_order,
    deadline_of,
    from_item,
    image_id_in,
    number_fields,
    review_order,
    status_order,
    to_item,
)
from tests.unit.core.builders import IMAGE_ID, NOW_MS, record

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.integers(0, 10**15 - 1)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
pictures_of_it = st.builds(
    Thumbnails,
    attempt=text,
    version=text,
    sizes=st.dictionaries(text, st.builds(ThumbnailInfo, text, number, number, text, number), max_size=2),
)
fields = {
    "image_id": text,
    "key": text,
    "rev": number,
    "status": st.sampled_from(Status),
    "generation": number,
    "created_ms": number,
    "original_name": text,
    "source": text,
    "content_type": st.none() | text,
    "size_bytes": st.none() | number,
    "requested_ms": number,
    "announced_bytes": st.none() | number,
    "announced_sha256": st.none() | text,
    "request_digest": st.none() | text,
    "title": st.none() | text,
    "alt_text": st.none() | text,
    "alt_text_source": st.none() | text,
    "tags": st.none() | st.lists(text, min_size=1, max_size=3).map(tuple),
    "deadline": number,
    "postponed": number,
    "upload_until": number,
    "version": st.none() | text,
    "version_etag": st.none() | text,
    "attempt": st.none() | text,
    "attempts": number,
    "lease_until": number,
    "finished_version": st.none() | text,
    "finished_generation": st.none() | number,
    "metadata": st.none() | st.dictionaries(text, json_value, max_size=4),
    "thumbnails": st.none() | pictures_of_it,
    "caption": st.none() | text,
    "caption_reason": st.none() | text,
    "caption_model": st.none() | text,
    "caption_kept_generation": st.none() | number,
    "caption_forced_generation": st.none() | number,
    "caption_recipe": st.none() | text,
    "caption_confidence": st.none() | st.integers(0, 10_000).map(lambda share: share / 10_000),
    "caption_flags": st.none() | st.lists(text, max_size=3).map(tuple),
    "caption_language": st.none() | text,
    "processed_ms": st.none() | number,
    "processing_ms": st.none() | number,
    "error": st.none() | st.dictionaries(text, text, max_size=2),
    "request_id": st.none() | text,
}
records = st.builds(Record, **fields)


@given(records)
def test_a_record_is_read_back_as_it_was_written(one: Record) -> None:
    assert from_item(to_item(one)) == one


def test_the_round_trip_above_covers_every_field() -> None:
    assert set(fields) == {field.name for field in dataclasses.fields(Record)}


def test_metadata_may_contain_numbers_that_dynamodb_does_not_support() -> None:
    odd = {"huge": 1e300, "tiny": 5e-324, "long": 10**60, "nested": {"list": [1.5, None, "é \U0001f33b"]}}
    assert from_item(to_item(record(metadata=odd))).metadata == odd


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_support_are_refused_before_they_are_stored(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_item(record(metadata={"bad": value}))


def test_null_attributes_are_not_stored() -> None:
    assert not {"caption", "error", "attempt", "metadata"} & set(to_item(record()))


@pytest.mark.parametrize("status", Status)
def test_only_public_records_are_in_the_list(status: Status) -> None:
    item = to_item(record(status=status))
    listed = {"listed", "created_order"} & set(item)
    assert listed == ({"listed", "created_order"} if status in PUBLIC_STATUSES else set())


@pytest.mark.parametrize("alt_text", [None, "", "a lake"])
@pytest.mark.parametrize("status", Status)
def test_only_successful_images_without_an_alt_text_are_open_for_review(
    status: Status, alt_text: str | None
) -> None:
    keys = {"review", "review_order"}
    is_open = status is Status.SUCCESS and alt_text is None
    assert keys & set(to_item(record(status=status, alt_text=alt_text))) == (keys if is_open else set())


def test_images_to_review_are_sorted_by_confidence_then_age() -> None:
    in_order = [
        record(caption_confidence=None),
        record(caption_confidence=None, created_ms=NOW_MS + 1),
        *(record(caption_confidence=share) for share in (0.0, 0.0001, 0.0002, 0.29, 0.3, 0.9999, 1.0)),
        record(caption_confidence=1.0, created_ms=NOW_MS + 1),
    ]
    orders = [review_order(one) for one in in_order]
    assert orders == sorted(set(orders))
    assert {image_id_in(order) for order in orders} == {IMAGE_ID}


@given(st.tuples(number, text), st.tuples(number, text))
def test_the_list_is_sorted_by_age_then_id(one: tuple[int, str], other: tuple[int, str]) -> None:
    assert (created_order(*one) < created_order(*other)) == (one < other)


@given(number)
def test_the_sweep_reads_the_deadline_from_the_index_key(deadline: int) -> None:
    assert deadline_of(status_order(record(deadline=deadline))) == deadline


def test_the_index_keys_match_the_documentation() -> None:
    item = to_item(record(deadline=77, status=Status.SUCCESS, caption_confidence=0.4271))
    assert item["created_order"] == {"S": f"00{NOW_MS}#{IMAGE_ID}"}
    assert item["status_order"] == {"S": f"00{NOW_MS}#{IMAGE_ID}#000000000000077"}
    assert item["listed"] == {"S": "images"}
    assert (item["review"], item["review_order"]) == ({"S": "open"}, {"S": f"04272-00{NOW_MS}#{IMAGE_ID}"})


def test_numbers_are_found_if_annotations_are_types_or_strings() -> None:
    typed = dataclasses.make_dataclass("Typed", [("count", int), ("maybe", float | None), ("name", str)])
    as_text = dataclasses.make_dataclass("AsText", [("count", "int"), ("maybe", "float | None"), ("name", "str")])
    assert number_fields(typed) == number_fields(as_text) == {"count": int, "maybe": float}


def test_a_float_that_dynamodb_returns_as_a_whole_number_stays_a_float() -> None:
    item = to_item(record(caption_confidence=1.0)) | {"caption_confidence": {"N": "1"}}
    assert isinstance(from_item(item).caption_confidence, float)
