"""The search language: words, "phrases", -exclusions, tag:, camera:, caption:none and alt:none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_core.errors import BadQuery
from image_core.model import Record
from image_core.search.document import Document, Words, is_indexed
from image_core.search.words import folded, stem, words

MAX_CHARACTERS = 200
MAX_TERMS = 16
MIN_PREFIX_CHARACTERS = 3

_FIELDS = ("tag", "camera")
_MISSING = ("caption", "alt")
_SEARCHED = "Only letters and digits are searched, not emoji and punctuation."
_TERM = re.compile(r'(-?)(?:(\w+):)?(?:"([^"]*)"|([^\s"]+))')


@dataclass(frozen=True)
class Term:
    """One condition. `field` is "tag" (a tag has exactly these words), "camera", or "" for any field.

    A `phrase` needs exactly these words, one after the other. Other words match by their stems; the word of a
    `prefix` may also be only the beginning of a word.
    """

    words: Words
    field: str = ""
    excluded: bool = False
    phrase: bool = False
    prefix: bool = False

    @property
    def stems(self) -> frozenset[str]:
        """The stems that an image must have, except for a prefix, which needs only one word that begins with it."""
        return frozenset(map(stem, self.words))

    def matches(self, document: Document) -> bool:
        """Whether the condition is true, without regard to `excluded`."""
        if self.prefix and any(word.startswith(self.words[0]) for word in document.words):
            return True
        if not self.stems <= document.stems:
            return False
        if self.field == "tag":
            return any(_stems(tag) == _stems(self.words) for tag in document.tags)
        fields = [document.camera] if self.field == "camera" else list(document.fields)
        if self.phrase:
            return any(_has_phrase(field, self.words) for field in fields)
        return self.field == "" or self.stems <= frozenset(map(stem, document.camera))


@dataclass(frozen=True)
class Query:
    """A parsed query: every term must match, and every field in `missing` ("caption", "alt") must be absent."""

    text: str
    terms: tuple[Term, ...]
    missing: frozenset[str] = frozenset()

    @property
    def required(self) -> list[Term]:
        """The terms that an image must have. They can be looked up in the index."""
        return [term for term in self.terms if not term.excluded]

    def matches(self, record: Record) -> bool:
        """Whether the image is found by this query."""
        if not is_indexed(record):
            return False
        if "caption" in self.missing and record.caption is not None:
            return False
        if "alt" in self.missing and record.alt_text is not None:
            return False
        document = Document.of(record)
        return all(term.matches(document) != term.excluded for term in self.terms)


def parse(text: str) -> Query:
    """Parse a query. Raises BadQuery, whose message says what is wrong.

    The last word is a prefix, unless a space follows it.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadQuery(f"The query has {len(text)} characters; the limit is {MAX_CHARACTERS}.")
    if text.count('"') % 2:
        raise BadQuery('The query has a " without a matching one.')
    terms: list[Term] = []
    missing: set[str] = set()
    for match in _TERM.finditer(text):
        minus, name, quoted, plain = match.groups()
        field, value = folded(name or ""), quoted if quoted is not None else plain
        if field in _MISSING:
            if folded(value) != "none" or minus:
                raise BadQuery(f'"{field}:" can only be followed by none, without a minus.')
            missing.add(field)
            continue
        if name is not None and field not in _FIELDS:
            if quoted is not None:
                raise BadQuery(f'There is no field "{name}". The fields are tag, camera, caption and alt.')
            field, value = "", f"{name} {value}"  # such as 10:30
        found = tuple(words(value))
        if not found and field:  # ignoring it would find images that it excludes
            raise BadQuery(f'"{field}:" must be followed by a word. {_SEARCHED}')
        if not found:
            continue
        is_last = match.end() == len(text)
        is_prefix = (
            is_last and not (minus or field or quoted is not None) and len(found[-1]) >= MIN_PREFIX_CHARACTERS
        )
        if quoted is not None or field:
            terms.append(Term(found, field, bool(minus), phrase=quoted is not None))
            continue
        # Punctuation separates words: lake-side is lake and side. Without it they need not be next to each other.
        for word in found:
            terms.append(Term((word,), "", bool(minus), prefix=is_prefix and word is found[-1]))
    terms = list(dict.fromkeys(terms))
    if len(terms) > MAX_TERMS:
        raise BadQuery(f"The query has {len(terms)} terms; the limit is {MAX_TERMS}.")
    if not terms and not missing:
        raise BadQuery(f"The query has no word. {_SEARCHED}")
    return Query(text, tuple(terms), frozenset(missing))


def _stems(found: Words) -> list[str]:
    return [stem(word) for word in found]


def _has_phrase(field: Words, phrase: Words) -> bool:
    return any(field[at : at + len(phrase)] == phrase for at in range(len(field) - len(phrase) + 1))
