"""A caption ends before it repeats itself. Sentences that only look like a repetition stay whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.captioning.repetition import Repetition, RepetitionRule, find_repetition

LIMIT = 20
"""CAPTION_MAX_TOKENS by default: generated sequences end here if the model does not end them."""


PIECES = ["a", "the", "and", "of", "in", "hat", "dog", "##s", "-", ","]


class Words:
    """A vocabulary that grows: a token for each word or piece of a word."""

    def __init__(self) -> None:
        self.pieces: list[str] = ["[SEP]"]

    def ids(self, text: str) -> list[int]:
        self.pieces += [piece for piece in dict.fromkeys(text.split()) if piece not in self.pieces]
        return [self.pieces.index(piece) for piece in text.split()]

    def piece(self, token: int) -> str | None:
        return self.pieces[token] if token < len(self.pieces) else None

    def text(self, tokens: list[int]) -> str:
        return " ".join(self.pieces[token] for token in tokens)


def shortened(text: str, language: str = "en") -> str | None:
    """What stays of a generated text. None if all of it does."""
    words = Words()
    tokens = words.ids(text)[:LIMIT]
    found = find_repetition(tokens, words.piece, language)
    return words.text(tokens[: found.kept]) if found else None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a man in a a a a a a a a a a", "a man"),
        ("a dog dog dog dog dog dog", "a dog"),
        ("the woman the woman the woman the woman", "the woman"),
        ("a woman with a hat and a hat and a hat and a hat", "a woman with a hat"),
        ("a woman with a bag and a hat and a hat and a hat", "a woman with a bag and a hat"),
        ("a clock on the top of the top of the top of the top", "a clock on the top"),
        ("the corner of the top of the top of a house", "the corner of the top"),
        ("a man in a suit and tie in a suit and tie", "a man in a suit and tie"),
        ("a man standing next to a man standing next to a man standing", "a man standing"),
        ("a dog in front of a cat in front of a cat in front of a cat", "a dog in front of a cat"),
        ("hat and hat and hat and hat", "hat"),
        ("the man is the man is the man is", "the man"),
        ("a tu ##k tu ##k tu ##k tu ##k on the road", "a tu ##k"),
        ("a surf ##board and surf ##board and surf ##board and", "a surf ##board"),
        ("a shirt with a t - shirt with a t - shirt with a t - shirt", "a shirt with a t - shirt"),
        ("a red hat and a blue hat and a blue hat and a blue hat", "a red hat and a blue hat"),
        ("a white shirt and black shirt and black shirt and black", "a white shirt and black shirt"),
        ("a red car blue car blue car blue car", "a red car blue"),
        ("and and and and", ""),
    ],
)
def test_a_caption_ends_before_it_repeats_itself(before: str, after: str) -> None:
    assert shortened(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "a man and a man",
        "a man and a man and a woman",
        "red and white and red",
        "red and white and red and white stripes",
        "a circle above a square and a circle",
        "a circle above a square and a circle above a square",
        "a cat next to a cat next to a dog",
        "a tuk tuk on a street",
        "a tu ##k tu ##k on a street",
        "a very very tall tree",
        "a sign with the number 1 ##0 ##0 ##0 ##0",
        "two people walking side by side on the side of a road",
        "a blue and white plate on a blue and white table cloth",
        "a man in a black shirt and black pants and black shoes",
        "the man the man ##kind",
        "a black - and - white photo of a t - shirt",
        "",
        "a",
    ],
)
def test_a_sentence_without_a_repetition_stays_whole(text: str) -> None:
    assert shortened(text) is None


def test_the_end_token_completes_the_last_word() -> None:
    words = Words()
    tokens = words.ids("the woman the woman [SEP]")
    assert find_repetition(tokens, words.piece, "en") == Repetition(kept=2, seen=5)
    assert find_repetition(tokens[:-1], words.piece, "en") == Repetition(kept=2, seen=4)


@pytest.mark.parametrize(
    ("before", "after", "language"),
    [
        ("ein mann und ein mann und eine frau", None, "de"),
        ("un chat et un chat et un chien", None, "fr"),
        ("人 们 研 究 研 究 问 题", None, "zh"),
        ("un chat un chat un chat", "un chat", "fr"),
        ("eine frau mit hut und hut und hut", "eine frau mit hut und", "de"),
    ],
)
def test_without_a_list_of_linking_words_two_copies_are_not_enough(
    before: str, after: str | None, language: str
) -> None:
    assert shortened(before, language) == after


def test_words_of_english_do_not_matter_in_other_languages() -> None:
    assert shortened("un on on on", "fr") == "un on"
    assert shortened("un on on on", "en-GB") == "un"


@given(st.lists(st.sampled_from(PIECES), max_size=LIMIT), st.data())
def test_what_stays_is_a_beginning_of_whole_words_and_repeats_nothing(
    pieces: list[str], data: st.DataObject
) -> None:
    words = Words()
    tokens = words.ids(" ".join(pieces))
    found = find_repetition(tokens, words.piece, "en")
    if found is None:
        return
    assert 0 <= found.kept < found.seen <= len(tokens)
    assert not words.pieces[tokens[found.kept]].startswith("##")
    kept = tokens[: found.kept]
    assert find_repetition(kept, words.piece, "en") is None
    # What follows does not change what was found.
    if found.seen < len(tokens):
        more = tokens[: found.seen] + data.draw(st.lists(st.sampled_from(tokens), max_size=5))
        assert find_repetition(more, words.piece, "en") == found


@given(st.lists(st.integers(0, 3), max_size=LIMIT))
def test_the_rule_finds_the_same_token_by_token_as_in_all_tokens(tokens: list[int]) -> None:
    pieces = ["[SEP]", "a", "##s", "and"]
    rule = RepetitionRule(pieces.__getitem__, "en")
    found = next(filter(None, map(rule.add, tokens)), None) or rule.end()
    assert found == find_repetition(tokens, pieces.__getitem__, "en")
