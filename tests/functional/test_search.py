"""Search: the result equals that of a matcher that reads every record, whatever the size of the pages."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import snowballstemmer

from image_core.clock import Clock
from image_core.model import Record, Status
from image_core.stores import search
from image_core.stores.images import Records
from image_core.stores.items import created_order, to_item
from image_core.stores.queries import Listing
from image_core.stores.search import SearchIndex
from image_core.stores.search_items import changes, dictionary_of
from image_stream.handler import handle
from tests.functional.emulator import Stack, resource
from tests.functional.http_api import Api
from tests.functional.images import stored_image
from tests.searches import drawn, queries
from tests.simulation.dynamodb import FakeDynamoDB
from tests.unit.core.builders import record

PART = re.compile(r'(-?)(?:(tag|camera|alt|caption):)?(?:"([^"]*)"|(\S+))')
STEM = cache(snowballstemmer.stemmer("english").stemWord)


@pytest.fixture(scope="module")
def images() -> list[Record]:
    rng = random.Random(20)
    return [drawn(number, rng) for number in range(2_000)]


@pytest.fixture(scope="module")
def index(images: list[Record]) -> tuple[SearchIndex, FakeDynamoDB]:
    dynamodb = FakeDynamoDB(
        {name: resource(name) for name in ("ImagesTable", "StatsTable", "SearchTable")}, page=lambda: 10**9
    )
    client: Any = dynamodb
    records = Records(client, images_table="ImagesTable", stats_table="StatsTable", stats_shards=3, clock=Clock())
    built = SearchIndex(client, "SearchTable", records=records)
    for one in images:
        dynamodb.put_item(TableName="ImagesTable", Item=to_item(one))
        built.write(changes(None, one), dictionary_of(one))
    return built, dynamodb


def by_brute_force(images: Sequence[Record], query: str, **filters: Any) -> list[str]:
    """Return the ids of the images that match, newest first. It shares no code with the search."""
    tests: list[Callable[[Record], bool]] = []
    for minus, field, quoted, plain in PART.findall(query):
        is_last = bool(plain) and not minus + field and query.endswith(plain)
        test = condition(field, quoted, plain, is_last=is_last)
        tests.append((lambda one, test=test: not test(one)) if minus else test)
    kept = [
        one for one in images if all(test(one) for test in tests) and filters.get("status") in (None, one.status)
    ]
    return [
        one.image_id
        for one in sorted(kept, key=lambda one: created_order(one.created_ms, one.image_id), reverse=True)
    ]


def condition(field: str, quoted: str, plain: str, *, is_last: bool) -> Callable[[Record], bool]:
    wanted = tokens(quoted or plain)
    if field == "tag":
        return lambda one: any(
            [STEM(w) for w in tokens(tag)] == [STEM(w) for w in wanted] for tag in one.tags or ()
        )
    if field == "camera":
        return lambda one: set(map(STEM, wanted)) <= set(map(STEM, texts(one)[-1]))
    if field:
        return lambda one: getattr(one, {"alt": "alt_text", "caption": "caption"}[field]) is None
    if quoted:
        spaced = f" {' '.join(wanted)} "
        return lambda one: any(spaced in f" {' '.join(text)} " for text in texts(one))

    def has_words(one: Record) -> bool:
        found = [word for text in texts(one) for word in text]
        begins = is_last and len(wanted[-1]) >= 3 and any(word.startswith(wanted[-1]) for word in found)
        stems = set(map(STEM, found))
        return set(map(STEM, wanted[:-1])) <= stems and (begins or STEM(wanted[-1]) in stems)

    return has_words


def texts(one: Record) -> list[list[str]]:
    exif = (one.metadata or {})["exif"]
    camera = f"{exif.get('Make', '')} {exif.get('Model', '')}"
    found = [one.caption, one.title, one.original_name, one.alt_text, *(one.tags or ()), camera]
    return [tokens(text or "") for text in found]


@cache
def tokens(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[0-9]+", text.lower().replace("ü", "u"))


def test_the_result_of_200_random_queries_equals_that_of_a_matcher_that_reads_everything(
    index: tuple[SearchIndex, FakeDynamoDB], images: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "ENTRIES_PER_READ", 40)
    monkeypatch.setattr(search, "MAX_ENTRIES", 100)
    found_some = 0
    for number, (query, status) in enumerate(queries(200)):
        expected = by_brute_force(images, query, status=status)
        if number % 2:
            assert everything(index[0], query, status, oldest_first=True) == expected[::-1], query
        else:
            assert everything(index[0], query, status) == expected, query
        found_some += bool(expected)
    assert found_some > 100


def everything(
    index: SearchIndex, query: str, status: Status | None = None, limit: int = 7, oldest_first: bool = False
) -> list[str]:
    """Follow the cursors of a search and return all ids."""
    listing = Listing(status=status, q=query, oldest_first=oldest_first)
    ids: list[str] = []
    cursor: str | None = None
    while True:
        found = index.find(listing, limit=limit, cursor=cursor)
        assert len(found.page.records) <= limit
        ids += [one.image_id for one in found.page.records]
        cursor = found.page.next_cursor
        if cursor is None:
            return ids


def test_an_image_that_has_changed_since_it_was_indexed_is_checked_again(
    index: tuple[SearchIndex, FakeDynamoDB], images: list[Record]
) -> None:
    built, dynamodb = index
    before = by_brute_force(images, "boat")
    changed = next(one for one in images if one.image_id == before[0])
    dynamodb.put_item(TableName="ImagesTable", Item=to_item(replace(changed, status=Status.DELETING)))
    try:
        assert everything(built, "boat ") == by_brute_force([one for one in images if one is not changed], "boat ")
    finally:
        dynamodb.put_item(TableName="ImagesTable", Item=to_item(changed))


def test_a_prefix_of_too_many_words_is_a_warning(index: tuple[SearchIndex, FakeDynamoDB]) -> None:
    built, _ = index
    many = [replace(record(), original_name=f"xyz{chr(97 + n)}q.jpg", processed_ms=1) for n in range(20)]
    for one in many:
        built.write({}, dictionary_of(one))
    assert "More than 16 words begin with xyz" in built.find(Listing(q="xyz"), limit=5).warnings[0]
    assert built.find(Listing(q="boa"), limit=5).warnings == ()


def test_a_prefix_is_completed_to_letters_of_any_plane(index: tuple[SearchIndex, FakeDynamoDB]) -> None:
    built, dynamodb = index
    deseret = replace(drawn(5_000, random.Random(1)), title="\U00010428\U0001042a\U0001042c\U0001044c")
    dynamodb.put_item(TableName="ImagesTable", Item=to_item(deseret))
    built.write(changes(None, deseret), dictionary_of(deseret))
    try:
        assert everything(built, "\U00010428\U0001042a\U0001042c") == [deseret.image_id]
    finally:
        dynamodb.delete_item(TableName="ImagesTable", Key={"image_id": {"S": deseret.image_id}})


@pytest.mark.parametrize(("from_ms", "until_ms"), [(5, 5), (1_000_100, 1_000_000), (None, -5)])
def test_no_image_is_found_in_an_empty_time(
    index: tuple[SearchIndex, FakeDynamoDB], from_ms: int | None, until_ms: int
) -> None:
    page = index[0].find(Listing(q="boat", from_ms=from_ms, until_ms=until_ms), limit=5).page
    assert (page.records, page.next_cursor) == ([], None)


def test_a_phrase_of_many_words_reads_only_some_of_them(index: tuple[SearchIndex, FakeDynamoDB]) -> None:
    built, dynamodb = index
    letters = [chr(0x4E00 + number) for number in range(198)]
    long = replace(drawn(5_001, random.Random(1)), title="".join(letters))
    dynamodb.put_item(TableName="ImagesTable", Item=to_item(long))
    built.write(changes(None, long), dictionary_of(long))
    queried: list[str] = []
    dynamodb.on_query = queried.append
    try:
        assert everything(built, f'"{"".join(letters)}"') == [long.image_id]
        assert len(queried) == search.MAX_WORDS_READ
        assert everything(built, f'"{"".join(letters)[:-1]}x"') == []
    finally:
        dynamodb.on_query = lambda _: None
        dynamodb.delete_item(TableName="ImagesTable", Key={"image_id": {"S": long.image_id}})


# Through the API and the stream function


def change(old: Record | None, new: Record | None, number: int = 1) -> dict[str, Any]:
    """Return a stream record as Lambda delivers it."""
    images = {"OldImage": old and to_item(old), "NewImage": new and to_item(new)}
    return {
        "eventName": "MODIFY",
        "dynamodb": {
            "SequenceNumber": str(number),
            "ApproximateCreationDateTime": 1.0,
            **{name: item for name, item in images.items() if item},
        },
    }


def ids(api: Api, query: str) -> list[str]:
    return [image["data"]["image_id"] for image in api.get("/api/images", query).json()["data"]]


def test_the_api_finds_what_the_stream_function_has_indexed(stack: Stack, api: Api) -> None:
    red = stored_image(stack, Status.SUCCESS, original_name="first.jpg")
    assert ids(api, "q=red%20square") == [], "the stream has not delivered it yet"
    handle({"Records": [change(None, red)]}, stack.services)
    assert ids(api, "q=red%20square") == ids(api, "q=squ") == ids(api, "q=-blue&status=success") == [red.image_id]
    assert ids(api, "q=blue") == ids(api, "q=red&status=failed") == []

    titled = stack.records.describe(red, title="Lake at dawn", alt_text=None, tags=None)
    handle({"Records": [change(red, titled), change(red, titled)]}, stack.services)
    assert ids(api, "q=dawn%20red") == [red.image_id]
    handle({"Records": [change(titled, None)]}, stack.services)
    assert list(stack.services.search.every_key()) == []


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("q=%22red", "bad_query", "matching"),
        ("q=-red", "bad_query", "Add a word or select a status"),
        ("q=red&cursor=abc", "bad_cursor", ""),
    ],
)
def test_a_bad_query_is_refused_with_its_reason(api: Api, query: str, code: str, message: str) -> None:
    response = api.get("/api/images", query)
    assert (response.status, response.code) == (400, code)
    assert message in response.json()["error"]["message"]


def test_a_cursor_belongs_to_its_query(stack: Stack, api: Api) -> None:
    for _ in range(2):
        handle({"Records": [change(None, stored_image(stack, Status.SUCCESS))]}, stack.services)
    cursor = api.get("/api/images", "q=red&limit=1").json()["next_cursor"]
    assert len(api.get("/api/images", f"q=red&limit=1&cursor={cursor}").json()["data"]) == 1
    assert api.get("/api/images", f"q=blue&limit=1&cursor={cursor}").code == "bad_cursor"


def test_a_batch_that_is_delivered_again_leaves_the_same_entries(stack: Stack) -> None:
    first = stored_image(stack, Status.SUCCESS)
    second = stack.records.describe(first, title="Lake", alt_text=None, tags=None)
    third = stack.records.describe(second, title="Hill", alt_text=None, tags=None)
    batch = [change(None, first, 1), change(first, second, 2), change(second, third, 3)]
    handle({"Records": batch}, stack.services)
    expected = stack.services.search.get_many(set(stack.services.search.every_key()))
    assert {text and "hill" in text.split() for text in expected.values()} == {True}
    for again in (batch, batch[1:], batch[2:]):
        handle({"Records": again}, stack.services)
        assert stack.services.search.get_many(set(stack.services.search.every_key())) == expected
