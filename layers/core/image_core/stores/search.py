"""The search index: an inverted index in DynamoDB, written by the stream function and read by the API.

It lags behind the records by a second or so. A result is exact all the same, because every image that the index
finds is read and checked again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from image_core.errors import BadQuery
from image_core.model import Record
from image_core.search.query import Query, Term, parse
from image_core.search.words import stem
from image_core.stores.batches import Batches
from image_core.stores.items import image_id_in
from image_core.stores.queries import Listing, Page, Queries, decode_cursor, encode_cursor
from image_core.stores.search_items import Key, dictionary_key, key_in, key_of, stems_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENTRIES_PER_READ = 256
"""About 0.2 KB each: 50 KB, which DynamoDB counts as 7 reads."""
MAX_ENTRIES = 2_048
"""A page ends after reading this many entries of the rarest word, even if it has found nothing yet."""
MAX_WORDS_READ = 16
"""Words whose entries are read. A phrase can have 198. The others are only compared with what the entries say."""
MAX_CHECKED = 300
"""A page also ends after checking this many records."""
MAX_KNOWN_WORDS = 50_000
MAX_COMPLETIONS = 16
"""Words that a prefix stands for."""
LAST_CHARACTER = "\U0010ffff"
"""Sorts after every letter, also those outside of the basic plane: DynamoDB compares the bytes of UTF-8."""

_BEFORE_ALL, _AFTER_ALL = "", "~"
"""These sort before and after the position of every image."""

Alternatives = tuple[str, ...]
"""Stems of which an image must have one."""


@dataclass(frozen=True)
class Found:
    """A page of images, and what the caller should know about the result."""

    page: Page
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Stretch:
    """Entries of some alternatives in the order of the list: all of those up to the position `until`."""

    entries: Sequence[tuple[str, str]]
    """Position in the list, and `t`. Most are never split into stems: 16 words can have 4,096 entries of 3 KB."""
    until: str
    """Beyond the last position of the list (`_BEFORE_ALL` or `_AFTER_ALL`) if no entries are left."""

    @property
    def is_last(self) -> bool:
        return self.until in (_BEFORE_ALL, _AFTER_ALL)


class SearchIndex:
    """The index of one stack. `client` is a DynamoDB client; `records` reads the images table.

    `parallel` is a `map` that may call its function in several threads.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        records: Queries,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
        parallel: Callable[[Callable[[str], Any], Iterable[str]], Iterable[Any]] = map,
    ) -> None:
        self._client = client
        self._table = table
        self._records = records
        self._batches = Batches(client, table, sleep=sleep, rng=rng or random.Random())  # noqa: S311
        self._parallel = parallel
        self._known_words: set[Key] = set()

    # Writing

    def write(
        self, changes: Mapping[Key, str | None], dictionary: Set[Key] = frozenset(), *, repair: bool = False
    ) -> None:
        """Put entries with their `t`, delete those whose value is None, and put words of the dictionary.

        Safe to repeat. Words that this object has put are put again only for a `repair`. Raises Unavailable if
        DynamoDB does not accept all of them.
        """
        words = dictionary if repair else dictionary - self._known_words
        requests: list[dict[str, Any]] = [
            {"DeleteRequest": {"Key": key_of(key)}}
            if text is None
            else {"PutRequest": {"Item": key_of(key) | {"t": {"S": text}}}}
            for key, text in changes.items()
        ]
        requests += [{"PutRequest": {"Item": key_of(key)}} for key in words]
        self._batches.write(requests)
        if len(self._known_words) > MAX_KNOWN_WORDS:
            self._known_words.clear()
        self._known_words |= words

    def get_many(self, keys: Set[Key]) -> dict[Key, str | None]:
        """Read entries and words by their keys, each with its `t` (None for a word). Missing ones are left out."""
        items = self._batches.get([key_of(key) for key in sorted(keys)])
        return {key_in(item): item["t"]["S"] if "t" in item else None for item in items}

    def every_key(self) -> Iterator[Key]:
        """The keys of all entries, without the dictionary, unordered. This is a scan, for reconciliation."""
        start: dict[str, Any] = {}
        while True:
            response = self._client.scan(TableName=self._table, ConsistentRead=True, **start)
            yield from (key_in(item) for item in response["Items"] if "t" in item)
            if "LastEvaluatedKey" not in response:
                return
            start = {"ExclusiveStartKey": response["LastEvaluatedKey"]}

    # Reading

    def find(self, listing: Listing, *, limit: int, cursor: str | None = None) -> Found:
        """Return up to `limit` images of a list with `q`, in the order of the list.

        Images to review are read in the order of their index; the words are only compared. A page may be empty and
        not the last. Raises `BadCursor` and `BadQuery`.
        """
        query = parse(listing.q or "")
        if listing.review or not query.required:
            if listing.status is None and not listing.review:
                raise BadQuery(
                    "Add a word or select a status: exclusions, caption:none and alt:none cannot be searched alone."
                )
            page = self._records.read(listing, limit=limit, cursor=cursor, matches=query.matches)
            return Found(page)
        after = decode_cursor(cursor, listing, in_search=True) if cursor is not None else None
        first, last = listing.bounds
        if first > last:
            return Found(Page(listing, [], [], None))
        groups, warnings = self._groups(query.required)
        page = self._page(query, groups, listing, limit=limit, after=after)
        return Found(page, warnings)

    def _page(
        self, query: Query, groups: list[Alternatives], listing: Listing, *, limit: int, after: str | None
    ) -> Page:
        excluded = [term for term in query.terms if term.excluded and not (term.phrase or term.field)]
        stretches = self._read(groups[:MAX_WORDS_READ], listing, after)
        # The one that reaches furthest is of the rarest word. Only it is read further.
        by_length = sorted(stretches, key=lambda group: len(stretches[group].entries))
        furthest = max if listing.oldest_first else min
        rarest = furthest(by_length, key=lambda group: stretches[group].until)
        stretch = stretches[rarest]
        read, checked = len(stretch.entries), 0
        records: list[Record] = []
        orders: list[str] = []
        while True:
            candidates = [
                order
                for order, stems in ((order, stems_of(text)) for order, text in stretch.entries)
                if all(not stems.isdisjoint(group) for group in groups)
                and not any(term.stems <= stems for term in excluded)
            ]
            for start in range(0, len(candidates), limit):
                some = candidates[start : start + limit]
                for order, record in self._checked(query, listing, some):
                    records.append(record)
                    orders.append(order)
                    if len(records) == limit:
                        is_last = order == candidates[-1] and stretch.is_last
                        cursor = None if is_last else encode_cursor(listing, order)
                        return Page(listing, records, orders, cursor)
                checked += len(some)
                if checked >= MAX_CHECKED and some[-1] != candidates[-1]:
                    return Page(listing, records, orders, encode_cursor(listing, some[-1]))
            if stretch.is_last:
                return Page(listing, records, orders, None)
            if read >= MAX_ENTRIES or checked >= MAX_CHECKED:
                return Page(listing, records, orders, encode_cursor(listing, stretch.until))
            stretch = self._read([rarest], listing, stretch.until)[rarest]
            read += len(stretch.entries)

    def _checked(self, query: Query, listing: Listing, orders: list[str]) -> list[tuple[str, Record]]:
        """Return the records at these positions that match now."""
        order_of = {image_id_in(order): order for order in orders}
        return [
            (order_of[record.image_id], record)
            for record in self._records.get_many(list(order_of))
            if listing.contains(record) and query.matches(record)
        ]

    def _groups(self, required: list[Term]) -> tuple[list[Alternatives], tuple[str, ...]]:
        """Return the stems that an image must have, and warnings."""
        groups: dict[Alternatives, None] = {}
        warnings = []
        for term in required:
            if term.prefix:
                completions = self._completions(term.words[0])
                if len(completions) > MAX_COMPLETIONS:
                    warnings.append(
                        f"More than {MAX_COMPLETIONS} words begin with {term.words[0]}. Some of them are left out:"
                        " type more letters."
                    )
                stems = {stem(word) for word in completions[:MAX_COMPLETIONS]} | term.stems
                groups[tuple(sorted(stems))] = None
            else:
                groups |= dict.fromkeys((one,) for one in term.stems)
        return list(groups), tuple(warnings)

    def _completions(self, prefix: str) -> list[str]:
        """Return the words of the dictionary that begin with `prefix`, up to one more than are used."""
        letters = dictionary_key(prefix).stem
        items = self._query(letters, prefix, prefix + LAST_CHARACTER, Limit=MAX_COMPLETIONS + 1)["Items"]
        return [item["created_order"]["S"] for item in items]

    def _read(
        self, groups: list[Alternatives], listing: Listing, after: str | None
    ) -> dict[Alternatives, _Stretch]:
        """Read the next entries of each alternative, those after the position `after`."""
        stems = list(dict.fromkeys(stem for group in groups for stem in group))
        read: Any = self._parallel(lambda stem: self._read_one(stem, listing, after), stems)
        part_of: dict[str, _Stretch] = dict(zip(stems, read, strict=True))
        return {group: _merged([part_of[stem] for stem in group], listing) for group in groups}

    def _read_one(self, stem: str, listing: Listing, after: str | None) -> _Stretch:
        first, last = listing.bounds
        start: dict[str, Any] = {}
        if after is not None:
            start["ExclusiveStartKey"] = key_of(Key(stem, after))
        response = self._query(
            stem,
            f"{first:015d}#",
            f"{last:015d}#~",  # sorts after every id of that millisecond
            ScanIndexForward=listing.oldest_first,
            Limit=ENTRIES_PER_READ,
            **start,
        )
        entries = [(item["created_order"]["S"], item["t"]["S"]) for item in response["Items"]]
        if "LastEvaluatedKey" in response and entries:
            return _Stretch(entries, entries[-1][0])
        return _Stretch(entries, _AFTER_ALL if listing.oldest_first else _BEFORE_ALL)

    def _query(self, stem: str, first: str, last: str, **arguments: Any) -> Any:
        return self._client.query(
            TableName=self._table,
            KeyConditionExpression="#stem = :stem AND #order BETWEEN :first AND :last",
            ExpressionAttributeNames={"#stem": "stem", "#order": "created_order"},
            ExpressionAttributeValues={":stem": {"S": stem}, ":first": {"S": first}, ":last": {"S": last}},
            **arguments,
        )


def _merged(parts: list[_Stretch], listing: Listing) -> _Stretch:
    """Join alternatives. What comes after the end of one of them is not known of all of them."""
    ends = [part.until for part in parts]
    until = min(ends) if listing.oldest_first else max(ends)
    entries = {
        order: text
        for part in parts
        for order, text in part.entries
        if (order <= until if listing.oldest_first else order >= until)
    }
    return _Stretch(sorted(entries.items(), reverse=not listing.oldest_first), until)
