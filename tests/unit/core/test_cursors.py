"""Cursors: opaque, and believed only by the list that gave them out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_core.errors import BadCursor
from image_core.models import Status
from image_core.records.items import created_order, status_order
from image_core.records.queries import decode_cursor, encode_cursor
from tests.unit.core.builders import IMAGE_ID, NOW_MS, record

CREATED = created_order(NOW_MS, IMAGE_ID)
OF_STATUS = status_order(record(deadline=5))


def cursor_of(payload: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")


@pytest.mark.parametrize(("status", "order"), [(None, CREATED), (Status.FAILED, OF_STATUS)])
def test_a_cursor_leads_back_to_where_it_was_given(status: Status | None, order: str) -> None:
    cursor = encode_cursor(status, order)
    assert decode_cursor(cursor, status) == order
    assert cursor.isascii() and not set(cursor) & set("+/=&?#% ")


@pytest.mark.parametrize(
    ("given", "asked"), [(None, Status.FAILED), (Status.FAILED, None), (Status.FAILED, Status.SUCCESS)]
)
def test_a_cursor_of_another_list_is_refused(given: Status | None, asked: Status | None) -> None:
    cursor = encode_cursor(given, CREATED if given is None else OF_STATUS)
    with pytest.raises(BadCursor):
        decode_cursor(cursor, asked)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "!!!!",
        encode_cursor(None, CREATED)[:-3],
        encode_cursor(None, CREATED) + "AAAA",
        cursor_of([]),
        cursor_of("text"),
        cursor_of(None),
        cursor_of({}),
        cursor_of({"v": 2, "status": None, "after": CREATED}),
        cursor_of({"v": 1, "status": None, "after": None}),
        cursor_of({"v": 1, "status": None, "after": [CREATED]}),
        cursor_of({"v": 1, "status": None, "after": OF_STATUS}),
        cursor_of({"v": 1, "status": None, "after": CREATED[:-1] + "u"}),
        cursor_of({"v": 1, "status": None, "after": CREATED + "\n"}),
        cursor_of({"v": 1, "status": None, "after": "\u0661" * 15 + CREATED[15:]}),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 300).decode(),
    ],
)
def test_a_cursor_that_nobody_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor, None)


@given(st.text())
def test_no_text_at_all_breaks_the_decoder(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor, None)


@given(st.binary())
def test_no_bytes_in_base64_break_the_decoder(payload: bytes) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(base64.urlsafe_b64encode(payload).decode(), None)
