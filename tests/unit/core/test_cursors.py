"""Cursors are opaque, and only the list that issued a cursor accepts it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_core.errors import BadCursor
from image_core.model import Status
from image_core.stores.items import created_order, review_order, status_order
from image_core.stores.queries import Listing, decode_cursor, encode_cursor
from tests.unit.core.builders import IMAGE_ID, NOW_MS, record

CREATED = created_order(NOW_MS, IMAGE_ID)
OF_STATUS = status_order(record(deadline=5))
OF_REVIEW = review_order(record(caption_confidence=0.5))


def cursor_of(payload: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")


EVERYTHING = Listing()
FAILED = Listing(Status.FAILED)
THAT_DAY = Listing(None, NOW_MS - 1000, NOW_MS + 1000)
REVIEW = Listing(review=True)
OLDEST = Listing(oldest_first=True)


def changed(**members: Any) -> str:
    """Return a cursor of the complete list with these members replaced; None omits a member."""
    filters = dict.fromkeys(["status", "from_ms", "until_ms", "sha256", "q"])
    filters |= {"oldest_first": False, "review": False}
    valid = {"v": 4, **filters, "after": CREATED}
    return cursor_of({name: value for name, value in (valid | members).items() if value != "left out"})


@pytest.mark.parametrize(
    ("listing", "order"),
    [(EVERYTHING, CREATED), (FAILED, OF_STATUS), (THAT_DAY, CREATED), (OLDEST, CREATED), (REVIEW, OF_REVIEW)],
)
def test_a_cursor_returns_to_the_place_where_it_was_issued(listing: Listing, order: str) -> None:
    cursor = encode_cursor(listing, order)
    assert decode_cursor(cursor, listing) == order
    assert cursor.isascii() and not set(cursor) & set("+/=&?#% ")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (EVERYTHING, FAILED),
        (FAILED, EVERYTHING),
        (FAILED, Listing(Status.SUCCESS)),
        (THAT_DAY, EVERYTHING),
        (EVERYTHING, Listing(sha256="0" * 64)),
        (Listing(sha256="1" * 64), Listing(sha256="0" * 64)),
        (EVERYTHING, THAT_DAY),
        (EVERYTHING, OLDEST),
        (OLDEST, EVERYTHING),
        (EVERYTHING, REVIEW),
        (REVIEW, EVERYTHING),
        (REVIEW, Listing(q="lake", review=True)),
        (THAT_DAY, Listing(None, NOW_MS - 1000, NOW_MS + 2000)),
        (THAT_DAY, Listing(None, NOW_MS - 2000, NOW_MS + 1000)),
    ],
)
def test_a_cursor_of_another_list_is_refused(given: Listing, asked: Listing) -> None:
    order = {"created_order": CREATED, "status_order": OF_STATUS, "review_order": OF_REVIEW}[given.index.order]
    cursor = encode_cursor(given, order)
    with pytest.raises(BadCursor):
        decode_cursor(cursor, asked)


def test_a_cursor_to_a_place_outside_of_its_list_is_refused() -> None:
    # DynamoDB rejects such a start key with an error, which would become a 503.
    for outside in (Listing(None, NOW_MS + 1, None), Listing(None, None, NOW_MS)):
        with pytest.raises(BadCursor):
            decode_cursor(encode_cursor(outside, CREATED), outside)


def test_the_cursor_on_which_the_refused_ones_are_based_is_valid() -> None:
    assert decode_cursor(changed(), EVERYTHING) == CREATED


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "!!!!",
        changed()[:-3],
        changed() + "AAAA",
        cursor_of([]),
        cursor_of("text"),
        cursor_of(None),
        cursor_of({}),
        changed(v=1),
        changed(v="2"),
        changed(v="left out"),
        changed(more=1),
        changed(after="left out"),
        changed(from_ms="left out"),
        changed(oldest_first="left out"),
        changed(review=True),
        changed(after=None),
        changed(after=[CREATED]),
        changed(after=OF_STATUS),
        changed(after=OF_REVIEW),
        changed(after=CREATED[:-1] + "u"),
        changed(after=CREATED + "\n"),
        changed(after="\u0661" * 15 + CREATED[15:]),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 300).decode(),
    ],
)
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor, EVERYTHING)


@given(st.text())
def test_no_text_breaks_the_decoder(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor, EVERYTHING)


@given(st.binary())
def test_no_bytes_in_base64_break_the_decoder(payload: bytes) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(base64.urlsafe_b64encode(payload).decode(), EVERYTHING)
