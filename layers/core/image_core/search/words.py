"""Text as words that can be compared: without case and accents, and reduced to their stems."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from threading import Lock
from typing import Any

_WORD = re.compile(r"[぀-ヿ㐀-鿿]|\d+|[^\W\d_぀-ヿ㐀-鿿]+")
"""A run of letters or of digits. Chinese and Japanese have no spaces: each character is a word."""
MAX_WORD_CHARACTERS = 64
"""The rest of a longer word is ignored. It is no word of a language."""


def words(text: str) -> list[str]:
    """Return the words of a text in order, without case and accents. `IMG_2041b.jpg` has img, 2041, b and jpg."""
    return [found[:MAX_WORD_CHARACTERS] for found in _WORD.findall(folded(text))]


def folded(text: str) -> str:
    """Return a text without case and accents, in Unicode's compatibility form."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFKC", plain).casefold()


_stemming = Lock()
"""A stemmer keeps its word in an attribute: in two threads at once, one would get the stem of the other's word."""


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return the stem of a folded word by the Snowball stemmer for English: lakes and lake have the same."""
    with _stemming:
        stemmed: str = _stemmer().stemWord(word)
    return stemmed


@cache
def _stemmer() -> Any:
    import snowballstemmer  # a tenth of a second, which only searches and the stream function need

    return snowballstemmer.stemmer("english")
