"""The search language: words, queries, and which records they match."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from image_core.errors import BadQuery
from image_core.model import Record, Status
from image_core.search.document import MAX_STEMS_BYTES, Document
from image_core.search.query import Query, Term, parse
from image_core.search.words import stem, words
from image_core.stores.search_items import changes, entries_of
from tests.unit.core.builders import record


def image(**fields: Any) -> Record:
    defaults: dict[str, Any] = {
        "original_name": "IMG_2041.JPG",
        "caption": "a red boat on a quiet lake",
        "title": "Lago di Como",
        "alt_text": "Morning mist",
        "tags": ("Summer", "Paris, France"),
        "metadata": {"exif": {"Make": "Canon", "Model": "EOS R5"}},
        "processed_ms": 5,
    }
    return replace(record(status=Status.SUCCESS), **(defaults | fields))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IMG_2041b.jpg", ["img", "2041", "b", "jpg"]),
        ("Café Ñandú ＡＢＣ ﬁne", ["cafe", "nandu", "abc", "fine"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("don't  stop-now", ["don", "t", "stop", "now"]),
        ("東京タワー 2", ["東", "京", "タ", "ワ", "ー", "2"]),
        ("हिन्दी की किताब", ["हिनदी", "की", "किताब"]),
        ("กิน ข้าว", ["กิน", "ขาว"]),
        ("ශ්\u200dරී ℹ️", ["ශරී", "i"]),
        ("👍 ❤️ …", []),
    ],
)
def test_text_is_split_into_folded_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_words_with_the_same_stem_are_found_by_each_other() -> None:
    assert stem("lakes") == stem("lake")
    assert stem("running") == stem("runs")


def test_threads_do_not_mix_up_their_stems() -> None:
    some = [first + last for first in ("lake", "run", "nation", "conness") for last in ("ing", "ations", "ously")]
    many = [one + other for one in some for other in some * 3]
    stem.cache_clear()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(stem.__wrapped__, many))
    finally:
        sys.setswitchinterval(interval)
    assert found == [stem(word) for word in many]


@pytest.mark.parametrize(
    "query",
    [
        "boat",
        "BOATS",
        "red lake",
        "lake red",
        "bo ",
        "quie",
        "2041",
        "img",
        '"red boat"',
        '"quiet lake" boat',
        "como mist",
        "tag:summer",
        "tag:SUMMER boat",
        'tag:"paris france"',
        "camera:canon",
        'camera:"eos r 5"',
        "-car boat",
        '-"boat red" boat',
        "-tag:winter boat",
        "lago-di-como",
    ],
)
def test_a_query_finds_the_image(query: str) -> None:
    assert parse(query).matches(image()) is (query != "bo ")


@pytest.mark.parametrize(
    "query",
    [
        "car",
        "boat car",
        '"boat red"',
        '"lake lago"',
        '"boats"',
        "tag:paris",
        "tag:boat",
        "camera:boat",
        "-boat",
        "lake -boats",
        '-"red boat" lake',
        "-tag:summer boat",
        "quie ",
        "caption:none boat",
        "alt:none boat",
    ],
)
def test_a_query_does_not_find_the_image(query: str) -> None:
    assert not parse(query).matches(image())


def test_missing_texts_can_be_searched_for() -> None:
    assert parse("caption:none como").matches(image(caption=None))
    assert parse("alt:none como").matches(image(alt_text=None))
    assert not parse("alt:none como").matches(image(alt_text="")), "an empty text says that it is decorative"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no word"),
        (" - ! ", "no word"),
        ("🌸", "not emoji"),
        ("lake tag:🌸", '"tag:" must be followed by a word'),
        ('lake -camera:""', '"camera:" must be followed by a word'),
        ('"red boat', "without a matching one"),
        ("alt:some", "followed by none"),
        ("-alt:none", "followed by none"),
        ('colour:"red"', "no field"),
        ("lake tag:👍", "must be followed by a word"),
        ('lake -camera:""', "must be followed by a word"),
        (" ".join(chr(97 + number) for number in range(17)), "17 terms; the limit is 16"),
        ("x" * 201, "the limit is 200"),
    ],
)
def test_a_bad_query_says_why(query: str, reason: str) -> None:
    with pytest.raises(BadQuery, match=reason):
        parse(query)


def test_the_last_word_is_a_prefix_unless_it_is_short_or_a_space_follows() -> None:
    assert parse("red boa").terms == (Term(("red",)), Term(("boa",), prefix=True))
    assert parse("red boa ").terms[-1] == Term(("boa",))
    assert parse("red bo").terms[-1] == Term(("bo",))
    assert parse("10:30").terms == (Term(("10",)), Term(("30",)))


def test_an_image_that_was_never_processed_or_is_being_deleted_is_not_found() -> None:
    query: Query = parse("boat")
    assert not query.matches(image(processed_ms=None))
    assert not query.matches(image(status=Status.DELETING))
    assert query.matches(image(status=Status.PENDING)), "it is being processed again"


def test_an_entry_has_all_stems_up_to_a_limit() -> None:
    many = image(alt_text=" ".join(f"{'w' * 20}{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(400)))
    entries = entries_of(many)
    (text,) = set(entries.values())
    assert {key.stem for key in entries} == set(text.split(" "))
    assert MAX_STEMS_BYTES - 50 < len(text) <= MAX_STEMS_BYTES
    assert Document.of(many).caption


def test_a_change_writes_only_what_differs() -> None:
    before, after = image(caption="a lake"), image(caption="a hill")
    assert changes(before, before) == {}
    written = {key.stem: text for key, text in changes(before, after).items()}
    assert written["lake"] is None
    assert "hill" in str(written["hill"])
    assert changes(before, replace(before, lease_until=9, rev=9)) == {}
    assert set(changes(before, None).values()) == {None}
    assert changes(None, image(processed_ms=None)) == {}
