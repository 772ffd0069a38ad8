"""The user's texts: how they are cleaned, and what makes an alt text useless for people who hear it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from image_core.model import Record

MAX_ALT_CHARACTERS = 150
"""A longer alt text is accepted with a warning."""

_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_REMOVED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that change the direction of the text around them. Joiners of emoji stay."""
_OPENING = re.compile(
    r"(an? |the )?(image|picture|photo|photograph|graphic|icon|screenshot) (of|showing)\b", re.IGNORECASE
)
_FILE_NAME = re.compile(r"[\w ()+,.-]+\.(jpe?g|png|gif|webp|tiff?|bmp|avif|hei[cf])", re.IGNORECASE)


def cleaned(text: str) -> str:
    """Return a text on one line, trimmed, without control characters and changes of direction."""
    return _REMOVED.sub("", _SPACES.sub(" ", text)).strip()


def merged(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags without empty ones and repetitions. Case does not matter; the first spelling stays."""
    found: dict[str, str] = {}
    for tag in tags:
        found.setdefault(tag.casefold(), tag)
    return tuple(filter(None, found.values()))


def warnings_about(record: Record) -> list[str]:
    """Return what a person should change about the alt text of an image."""
    text = record.alt_text
    if not text:
        return []
    found = []
    if len(text) > MAX_ALT_CHARACTERS:
        found.append(f"The alt text has {len(text)} characters. Try to use at most {MAX_ALT_CHARACTERS}.")
    if opening := _OPENING.match(text):
        found.append(f"Screen readers already say that it is an image: leave out “{opening.group()}”.")
    if text.casefold() == record.original_name.casefold() or _FILE_NAME.fullmatch(text):
        found.append("The alt text is a file name. Describe what the picture shows.")
    if record.title is not None and text.casefold() == record.title.casefold():
        found.append("The alt text equals the title, so people hear it twice.")
    return found
