"""The words of an image, and the items of the search index that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from image_core.model import PUBLIC_STATUSES, Record
from image_core.search.words import stem, words

MAX_STEMS_BYTES = 3_000
"""Stems of one image that are indexed, with spaces between them. Each item has all of them, and DynamoDB charges
for each kilobyte. Words beyond that do not find the image. The short and important fields come first."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """The words of a record's fields, folded. `tags` are separate, so that a phrase never spans two of them."""

    caption: Words = ()
    title: Words = ()
    name: Words = ()
    camera: Words = ()
    tags: tuple[Words, ...] = ()
    alt_text: Words = ()

    @classmethod
    def of(cls, record: Record) -> Document:
        """Return the words of a record."""
        exif = (record.metadata or {}).get("exif", {})
        camera = " ".join(str(exif[name]) for name in ("Make", "Model") if name in exif)
        return cls(
            caption=tuple(words(record.caption or "")),
            title=tuple(words(record.title or "")),
            name=tuple(words(record.original_name)),
            camera=tuple(words(camera)),
            tags=tuple(tuple(words(tag)) for tag in record.tags or ()),
            alt_text=tuple(words(record.alt_text or "")),
        )

    @property
    def fields(self) -> Iterable[Words]:
        """All fields, in the order in which they are indexed."""
        return (self.caption, self.title, *self.tags, self.name, self.camera, self.alt_text)

    @cached_property
    def words(self) -> dict[str, str]:
        """The indexed words, each with its stem, in order."""
        found: dict[str, str] = {}
        known: set[str] = set()
        room = MAX_STEMS_BYTES
        for word in (word for field in self.fields for word in field):
            stemmed = stem(word)
            if stemmed not in known:
                room -= len(stemmed.encode()) + 1
                if room < 0:
                    break
                known.add(stemmed)
            found[word] = stemmed
        return found

    @cached_property
    def stems(self) -> frozenset[str]:
        """The indexed stems."""
        return frozenset(self.words.values())


def is_indexed(record: Record) -> bool:
    """Whether an image can be found: it is visible, and has been processed at least once."""
    return record.status in PUBLIC_STATUSES and record.processed_ms is not None
