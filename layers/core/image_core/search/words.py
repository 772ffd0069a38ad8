"""Text as words that can be compared: without case and accents, and reduced to their stems."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from threading import Lock
from typing import Any

_WORD = re.compile(r"[぀-ヿ㐀-鿿]|\d+|(?:[^\W\d_぀-ヿ㐀-鿿]\u0301*)+")
"""A run of letters, with U+0301 for the marks on them, or of digits. Chinese and Japanese have no spaces: each
character is a word."""
_INVISIBLE = re.compile("[\u200d\ufe00-\ufe0f]")
"""Joiners and variation selectors, which choose between shapes of the same letter."""
MAX_WORD_CHARACTERS = 64
"""The rest of a longer word is ignored. It is no word of a language."""


def words(text: str) -> list[str]:
    """Return the words of a text in order, without case and accents. `IMG_2041b.jpg` has img, 2041, b and jpg."""
    plain = folded(text)
    marked = plain
    if not plain.isascii():
        # Vowels of Hindi, Thai and other scripts are marks, which Python's \w does not match.
        marked = "".join("\u0301" if unicodedata.category(c) in ("Mn", "Mc") else c for c in plain)
    return [plain[found.start() : found.end()][:MAX_WORD_CHARACTERS] for found in _WORD.finditer(marked)]


def folded(text: str) -> str:
    """Return a text without case and accents, in Unicode's compatibility form."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c) and not _INVISIBLE.match(c))
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
