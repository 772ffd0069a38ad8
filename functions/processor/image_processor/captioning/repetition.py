"""The rule that ends a caption before it repeats itself. It works on generated tokens, without those of the prompt.

Greedy decoding can fall into a loop, such as "a woman with a hat and a hat and a hat and a". The rule compares
whole words, so that it never cuts one in half. Words repeat themselves if

- one word comes three times in a row. Twice is not enough: "a tuk tuk", "a very very tall tree";
- several words come twice in a row: "the woman the woman";
- such a sequence ends in a linking word, and its first words, at most two, come a third time: "a hat and a hat and
  a hat". Twice is not enough: "a man and a man and a woman", "a cat next to a cat next to a dog".

The first copy stays, up to the end of its phrase, without words that cannot end a sentence: "a woman with a hat".
See docs/decisions/0036-caption-confidence.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

REPETITION_VERSION = 1
"""Increase this when the rule would keep other tokens. It is a part of every caption's recipe."""

_COORDINATING = frozenset({"and", "or", "&", ","})
_PREPOSITIONS = frozenset(
    {"of", "with", "in", "on", "at", "to", "by", "from", "for", "near", "over", "under", "above", "below", "behind",
     "beside", "between", "through", "into", "onto"}
)  # fmt: skip
_BEGINNING = frozenset(
    {"a", "an", "the", "his", "her", "its", "their", "my", "your", "this", "that", "which", "who", "as", "while",
     "is", "are", "was", "were", "next", "front"}
)  # fmt: skip
_LINKING = {"en": _COORDINATING | _PREPOSITIONS}
_CANNOT_END = {"en": _LINKING["en"] | _BEGINNING}
"""Words by language (BCP 47). In other languages any word may be a linking word, so two copies are not enough."""

_JOINING = ("-", "'")
"""BERT's tokenizer separates "t-shirt" and "man's" at these."""

Piece = Callable[[int], str | None]
"""The text of a token. A text that begins with "##" continues the word before it."""


@dataclass(frozen=True)
class Repetition:
    """`kept`: number of generated tokens that stay. `seen`: number of tokens after which the rule can tell."""

    kept: int
    seen: int


class RepetitionRule:
    """Watches the tokens of one caption as they are generated."""

    def __init__(self, piece: Piece, language: str) -> None:
        primary = language.partition("-")[0].lower()
        self._piece = piece
        self._linking = _LINKING.get(primary, frozenset())
        self._cannot_end = _CANNOT_END.get(primary, frozenset())
        self._words: list[str] = []
        self._starts: list[int] = []
        """The index of each word's first token."""
        self._seen = 0

    def add(self, token: int) -> Repetition | None:
        """Add the next token, which may be the end token. Returns the repetition that it completes.

        A word is complete when the next one begins, so the repetition never includes `token`.
        """
        piece = self._piece(token) or f"[{token}]"
        self._seen += 1
        if self._words and (piece.startswith("##") or piece in _JOINING or self._words[-1].endswith(_JOINING)):
            self._words[-1] += piece.removeprefix("##")
            return None
        found = self.end()
        self._words.append(piece)
        self._starts.append(self._seen - 1)
        return found

    def end(self) -> Repetition | None:
        """The repetition that the last word completes, if no token follows."""
        words = self._words
        kept = self._words_before_repetition()
        if kept is None:
            return None
        while kept and words[kept - 1] in self._cannot_end:
            kept -= 1
        return Repetition(self._starts[kept], self._seen)

    def _words_before_repetition(self) -> int | None:
        """Number of words up to the end of the first copy. None if the last word completes no repetition."""
        words, count = self._words, len(self._words)
        for length in range(1, count // 2 + 1):
            first = count - length
            while first and words[first - 1] == words[first - 1 + length]:
                first -= 1
            if count - first < 2 * length:
                continue
            # In "and a hat and a hat", what is repeated is "a hat and".
            if length > 1 and words[first] in _COORDINATING & self._linking:
                first += 1
            if count - first >= self._needed(words[first : first + length]):
                return self._end_of_phrase(first + length, first + 2 * length)
        return None

    def _end_of_phrase(self, begin: int, limit: int) -> int:
        """The first number of words from `begin` and below `limit` that ends with a phrase. `begin` if none does.

        In "a red hat and a blue hat and a blue hat and a blue", what is repeated is "hat and a blue". The phrase
        ends after the next word.
        """
        for end in range(begin, limit):
            if self._words[end - 1] in self._linking or self._words[end] in self._cannot_end:
                return end
        return begin

    def _needed(self, repeated: Sequence[str]) -> int:
        """How many words in a row prove that `repeated` is repeated."""
        length = len(repeated)
        if length == 1:
            return 3
        may_link = not self._linking or repeated[-1] in self._linking
        return 2 * length + (min(length - 1, 2) if may_link else 0)


def find_repetition(tokens: Sequence[int], piece: Piece, language: str) -> Repetition | None:
    """The first repetition in all generated `tokens`, the same as that of a rule that watched them one by one."""
    rule = RepetitionRule(piece, language)
    for token in tokens:
        if found := rule.add(token):
            return found
    return rule.end()
