"""A page of the list stays within Lambda's response limit, however long the texts of the images are."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from image_api.http.conditional import serialized
from image_api.limits import MAX_PAGE_BYTES
from image_api.routes.images import _ENVELOPE_BYTES
from image_api.schemas import ListResponse
from image_core.model import Status
from image_core.search.query import MAX_CHARACTERS
from image_core.stores.queries import Listing, decode_cursor, encode_cursor
from tests.functional.emulator import Stack
from tests.functional.http_api import Api, request
from tests.functional.images import METADATA, image_in, new_record

LARGEST_RESPONSE = 6_291_556
"""Bytes of JSON that a Lambda function may return."""
IMAGES = 100


def fill(stack: Stack, text: str) -> list[str]:
    """Create as many images as a page may have, each with as much of `text` as fits.

    Return their ids, newest first.
    """
    names = ("ImageDescription", "Artist", "Copyright", "UserComment", "Model")
    exif = dict.fromkeys(names, text * (6_400 // len(text.encode())))
    fields: dict[str, Any] = {
        "original_name": text * 1_024,
        "title": text * 200,
        "alt_text": text * 2_000,
        "tags": tuple(f"{number:02}{text * 62}" for number in range(50)),
        "metadata": METADATA | {"exif": exif},
    }
    created = []
    for _ in range(IMAGES):
        created.insert(0, stack.records.create(new_record(stack.records, **fields)).image_id)
        stack.clock.advance(1)
    return created


def pages(api: Api, query: str) -> list[dict[str, Any]]:
    """Return all pages as the function passes them to Lambda's runtime."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        event = request("http_get.json", "/api/images", f"limit={IMAGES}&{query}{cursor}")
        found.append(api._handler(event, SimpleNamespace(aws_request_id="8e03978e-40d5")))
        after = json.loads(found[-1]["body"])["next_cursor"]
        if after is None:
            return found
        cursor = f"&cursor={after}"


@pytest.mark.parametrize("text", ["\N{GRINNING FACE}", '"'])
def test_a_page_ends_before_lambdas_limit_and_the_next_one_continues_there(
    stack: Stack, api: Api, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")
    created = fill(stack, text)
    window = "created_after=2020-01-01T00:00:00Z&created_before=2030-01-01T00:00:00Z"
    for query in ("", f"status=pending&{window}"):
        found = pages(api, query)
        for page in found:
            assert len(page["body"].encode()) <= MAX_PAGE_BYTES
            response, _ = LambdaMarshaller().marshal_response(page)
            assert len(response.encode()) < LARGEST_RESPONSE
        listed = [item["data"]["image_id"] for page in found for item in json.loads(page["body"])["data"]]
        assert listed == created, query
        assert len(found) > 1


@pytest.mark.parametrize("character", ["\N{GRINNING FACE}", '"', "\1", "\x85"])
def test_the_longest_query_fits_beside_the_images_of_a_page(character: str) -> None:
    listing = Listing(Status.PROCESSING, 10**15 - 2, 10**15, "0" * 64, character * MAX_CHARACTERS)
    cursor = encode_cursor(listing, f"{10**15 - 1}#img_{'0' * 26}")
    warning = "More than 16 words begin with . Some of them are left out: type more letters." + character * 64
    envelope = serialized(ListResponse(data=[], next_cursor=cursor, warnings=[warning]))
    assert len(envelope) <= _ENVELOPE_BYTES
    assert decode_cursor(cursor, listing)


def test_an_image_larger_than_a_page_gets_a_page_alone(
    stack: Stack, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_api.routes.images.MAX_PAGE_BYTES", 1_100)
    for _ in range(3):
        image_in(stack.records, Status.SUCCESS)
    assert [len(json.loads(page["body"])["data"]) for page in pages(api, "")] == [1, 1, 1]
