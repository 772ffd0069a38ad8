"""Conditions that must hold at every write and at rest.

They follow docs/state.md and use none of the code under test.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import snowballstemmer

from tests.simulation.bodies import File
from tests.simulation.lambdas import confidence_of
from tests.simulation.network import Fault
from tests.simulation.s3 import Version
from tests.simulation.stack import IMAGES, SEARCH, STATS, THUMBNAILS, UPLOADS, Stack

PUBLIC_STATUSES = ("pending", "processing", "success", "failed")
EVERYTHING = frozenset({"thumbnails", "caption"})
Attributes = dict[str, Any]
_STEM = cache(snowballstemmer.stemmer("english").stemWord)
Transition = tuple[str | None, str | None, int, int, str | None]
"""The image, new status, generation, second and caption in an event."""


class Watch:
    """Observes every write, knows what users have stored, and checks the result.

    `checked` counts the checks by name.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.checked: Counter[str] = Counter()
        self.files: dict[bytes, File] = {}
        self.requested_deletions: set[str] = set()
        """Ids for which a DELETE was sent, with or without a response."""
        self.deleted: dict[str, str] = {}
        """Ids and keys of images whose DELETE got a 204 and that nobody stored again."""
        self.accepted: dict[str, str] = {}
        """Ids and keys of uploads that got a 202."""
        self.by_users: set[str] = set()
        """Keys that a user has deleted from the bucket."""
        self.expected: Counter[str] = Counter()
        """What the counters should be according to the records, updated with every write."""
        self.at_last_read: tuple[Counter[str], int] = (Counter(), 0)
        """The value of `expected`, and the number of partly written transactions, when the counters were last read.
        """
        self._counted: Counter[str] = Counter()
        self._holders: dict[str, str] = {}
        self._wanted: dict[str, frozenset[str]] = {}
        """By image: what must be made before it may become a success."""
        self._captions: dict[str, str | None] = {}
        """By image: the caption of its last success."""
        self._all_captions: set[str | None] = set()
        self._due: Counter[Transition] = Counter()
        """Transitions for which the bus must have an event."""
        stack.dynamodb.on_write = self._written
        stack.s3.on_delete = self._deleting
        stack.dynamodb.caller = lambda: stack.network.caller
        stack.dynamodb.on_query = self._reading

    def record(self, image_id: str) -> Attributes | None:
        """Return the current item of an image."""
        return self.stack.dynamodb.tables[IMAGES].items.get((image_id,))

    def expect(self, holds: bool, what: str) -> None:
        """Report `what` as a violation unless `holds` is true."""
        self.checked[what.partition(":")[0]] += 1
        if not holds:
            self.stack.world.report(what)

    # At every write

    def _written(self, caller: str, table: str, old: Attributes | None, new: Attributes | None) -> None:
        if table == STATS:
            self._counted.update(_counters(new))
            self._counted.subtract(_counters(old))
        elif table == IMAGES:
            self.expected.update(_contribution(new))
            self.expected.subtract(_contribution(old))
            self._judge(caller, old, new)
            self._note_transition(old, new)
            if new is not None:
                self._judge_results(caller, old or {}, new)
        if not self.stack.dynamodb.under_way:
            self.expect(
                _same(self.expected, self._counted),
                f"counters equal a recount: {_nonzero(self._counted)} counted, {_nonzero(self.expected)} stored",
            )

    def _note_transition(self, old: Attributes | None, new: Attributes | None) -> None:
        """Record transitions for which docs/events.md promises an event."""
        before, status = _text(old or {}, "status"), _text(new or {}, "status")
        item = new or old
        if status in ("success", "failed"):
            if (
                old is not None
                and before == status
                and _number(old, "processed_ms") == _number(new, "processed_ms")
            ):
                return  # a user changed a text
            second, caption = _number(new, "processed_ms") // 1000, _text(new or {}, "caption")
        elif before in PUBLIC_STATUSES and status in (None, "deleting"):
            status, second, caption = "deleted", int(self.stack.world.now), None
        else:
            return
        self._due[_text(item or {}, "image_id"), status, _number(item, "generation"), second, caption] += 1

    def _reading(self, table: str) -> None:
        if table == STATS:
            self.at_last_read = self.expected.copy(), self.stack.dynamodb.under_way

    def _judge(self, caller: str, old: Attributes | None, new: Attributes | None) -> None:
        if new is None:
            assert old is not None
            self.expect(
                _text(old, "status") in ("deleting", "reserved"),
                f"only deleted images and reservations go: {_text(old, 'image_id')} was {_text(old, 'status')}",
            )
            return
        image_id, status, now_ms = _text(new, "image_id"), _text(new, "status"), self.stack.world.now_ms()
        self.expect(
            old is None or _number(new, "rev") == _number(old, "rev") + 1,
            f"rev rises by one: {image_id} from {_number(old, 'rev')} to {_number(new, 'rev')}",
        )
        self.expect(
            _number(new, "attempts") <= self.stack.settings.max_attempts,
            f"attempts are limited: {image_id} has {_number(new, 'attempts')}",
        )
        if old is not None:
            self.expect(
                _number(new, "generation") >= _number(old, "generation")
                and (_text(new, "version") or "") >= (_text(old, "version") or ""),
                f"generation and version never decrease: {image_id} from {_text(old, 'version')}"
                f" to {_text(new, 'version')}",
            )
            self.expect(
                _text(old, "status") != "deleting" or status == "deleting",
                f"a deletion is final: {image_id} became {status}",
            )
            if _text(old, "status") == "processing":
                self._judge_the_holder(caller, old, new, now_ms)
        if status == "processing" and _text(new, "attempt") != _text(old or {}, "attempt"):
            self._holders[_text(new, "attempt") or ""] = caller
        if status in PUBLIC_STATUSES:
            for key in _thumbnail_keys(new):
                self.expect(
                    self.stack.s3.buckets[THUMBNAILS].newest(key) is not None,
                    f"a record names only existing thumbnails: {status} {image_id} names {key}",
                )
        is_open = status == "success" and "alt_text" not in new
        self.expect(
            [name in new for name in ("review", "review_order")] == [is_open, is_open],
            f"successful images without an alt text, and only they, are open for review: {image_id}",
        )
        if status == "success":
            self._judge_success(new)

    def _judge_the_holder(self, caller: str, old: Attributes, new: Attributes, now_ms: int) -> None:
        """While its lease is live, only the worker that holds an attempt may finish it or save its results."""
        attempt = _text(old, "attempt") or ""
        ends = _text(new, "status") in ("success", "failed")
        saves = _text(new, "attempt") == attempt and _text(new, "thumbnails") != _text(old, "thumbnails")
        if not ends and not saves:
            return
        alive = _number(old, "lease_until") > now_ms
        holder = self._holders.get(attempt)
        self.expect(
            caller == holder or (_text(new, "status") == "failed" and not alive),
            f"only its worker writes an attempt: {_text(new, 'status')} of {_text(new, 'image_id')} by {caller},"
            f" held by {holder}",
        )

    def _judge_results(self, caller: str, old: Attributes, new: Attributes) -> None:
        """Requested results are made again exactly once, and nothing else is. A new version needs all results."""
        image_id = _text(new, "image_id") or ""
        wanted = self._wanted.get(image_id, EVERYTHING)
        if not old:
            wanted = EVERYTHING  # of an earlier image with this id nothing is owed
        elif _text(new, "version") != _text(old, "version"):
            wanted |= EVERYTHING
        if old and _number(new, "generation") > _number(old, "generation"):
            wanted |= self._requested_by(caller)
        if _text(new, "thumbnails") is not None and _attempt_of_thumbnails(new) != _attempt_of_thumbnails(old):
            self.expect("thumbnails" in wanted, f"a kept result is not made again: thumbnails of {image_id}")
            wanted -= {"thumbnails"}
        if _text(new, "status") == "success" and _text(old, "status") != "success":
            caption = _text(new, "caption")
            if "caption" in wanted:
                self._judge_caption(caller, new, forced="forced caption" in wanted)
            else:
                self.expect(
                    caption == self._captions.get(image_id),
                    f"a kept result is not made again: the caption of {image_id}",
                )
            self.expect("thumbnails" not in wanted, f"a requested result is made: thumbnails of {image_id}")
            self._captions[image_id] = caption
            self._all_captions.add(caption)
            wanted = frozenset()
        self._wanted[image_id] = wanted

    def _requested_by(self, caller: str) -> frozenset[str]:
        """Return what a reprocess request asks for. Requests by an engineer have no URL and ask for everything."""
        query = parse_qs(urlsplit(self.stack.urls.get(caller, "")).query)
        (stage,) = query.get("stage", ["all"])
        asked = EVERYTHING if stage == "all" else frozenset({stage})
        forces = query.get("force") == ["true"] and "caption" in asked
        return asked | {"forced caption"} if forces else asked

    def _judge_caption(self, caller: str, new: Attributes, *, forced: bool) -> None:
        """Check that the worker's own model made the caption, computed or copied (with `forced`: computed).

        `_judge_success` checks that it belongs to these bytes.
        """
        image_id, caption, recipe = _text(new, "image_id"), _text(new, "caption") or "", self.stack.recipes[caller]
        self.expect(
            (_text(new, "caption_recipe") or "").startswith(f"{recipe}-") and caption.endswith(f"by {recipe}"),
            f"a caption is by the worker's model: that of {image_id} by {caller} with {recipe} is {caption}",
        )
        self.expect(
            not forced or caption not in self._all_captions,
            f"a requested result is made: the caption of {image_id}",
        )

    def _judge_success(self, new: Attributes) -> None:
        image_id, version_id = _text(new, "image_id"), _text(new, "finished_version")
        version = self._version(_text(new, "key") or "", version_id or "")
        named = json.loads(_text(new, "thumbnails") or "null")
        metadata = json.loads(_text(new, "metadata") or "null")
        self.expect(
            version is not None
            and version.body is not None
            and metadata is not None
            and named is not None
            and named["version"] == version_id
            and metadata["sha256"] == hashlib.sha256(version.body).hexdigest()
            and (_text(new, "caption") or "").startswith(self.files[version.body].caption),
            f"success matches the processed version: {image_id}, version {version_id}",
        )
        caption = _text(new, "caption") or ""
        number = int(caption.partition(" no. ")[2].partition(",")[0] or -1)
        self.expect(
            float(new["caption_confidence"]["N"] if "caption_confidence" in new else -1) == confidence_of(number)
            and json.loads(_text(new, "caption_flags") or "null") == [f"flag {number}"],
            f"confidence and flags are those of the caption: {image_id} with {caption}",
        )

    def _deleting(self, bucket: str, key: str) -> None:
        caller = self.stack.network.caller
        if bucket == THUMBNAILS:
            record = self.record(key.partition("/")[0])
            self.expect(
                record is None
                or _text(record, "status") not in PUBLIC_STATUSES
                or key not in _thumbnail_keys(record),
                f"no thumbnail in use is deleted: {key} by {caller}",
            )
        elif caller != "user":
            newest = self.stack.s3.buckets[bucket].newest(key)
            records = [r for r in self._records() if _text(r, "key") == key and _text(r, "status") == "deleting"]
            # By ETag, as in S3's conditional delete: an identical file that is put meanwhile is also deleted.
            intended = [newest and newest.etag.strip('"') in (_text(r, "version_etag"),) for r in records]
            # Also anything that may have come through a presigned URL that the deletion invalidated.
            intended += [newest and newest.modified * 1000 <= _number(r, "upload_until") for r in records]
            self.expect(
                newest is None or any(intended) or any(_text(r, "version") is None for r in records),
                f"only the version to delete is deleted: {key} {newest and newest.version_id} by {caller}",
            )

    # At rest

    def judge_final_state(self, *, reconciled: bool) -> None:
        """Check the final state, after sweep and reconcile have run."""
        uploads, thumbnails = self.stack.s3.buckets[UPLOADS], self.stack.s3.buckets[THUMBNAILS]
        served: set[str] = set()
        by_key: Counter[str] = Counter()
        recount: Counter[str] = Counter()
        for record in self._records():
            recount.update(_contribution(record))
            by_key[_text(record, "key") or ""] += 1
            served.update(_thumbnail_keys(record))
            self._judge_final_record(record, uploads.newest(_text(record, "key") or ""))
        self.expect(
            _same(recount, self._counted) and _same(recount, self.expected),
            f"counters equal a recount at rest: {_nonzero(self._counted)} counted, {_nonzero(recount)} in records",
        )
        for key in uploads.keys:
            newest = uploads.newest(key)
            wanted = 0 if key.endswith("/") and newest is not None and newest.body == b"" else 1
            self.expect(by_key[key] == wanted, f"an object has one record: {key} has {by_key[key]}")
        left = set(thumbnails.keys) - served
        if reconciled or not self.stack.network.injected.total():
            # A killed worker or a late call may leave some, which reconcile removes.
            self.expect(not left, f"no thumbnail is left without its record: {sorted(left)[:3]}")
        for image_id, key in self.deleted.items():
            found = self.record(image_id)
            self.expect(
                (found is None or _text(found, "key") != key) and uploads.newest(key) is None,
                f"a deleted image does not come back: {image_id}",
            )
        for image_id, key in self.accepted.items():
            gone = image_id in self.requested_deletions or key in self.by_users
            self.expect(gone or self.record(image_id) is not None, f"no upload is lost: {image_id}")

        self._judge_events()
        # A call that is applied late, or by a process that was frozen, may overwrite what came after it. Reconcile
        # repairs that.
        late = sum(self.stack.network.injected[fault.value] for fault in (Fault.LATE, Fault.PAUSE))
        if reconciled or not late:
            self._judge_search_index()

    def _judge_search_index(self) -> None:
        """The index equals what the records say."""
        wanted = {entry for record in self._records() for entry in _search_entries(record)}
        items = self.stack.dynamodb.tables[SEARCH].items.values()
        found = {
            (_text(item, "stem"), _text(item, "created_order"), _text(item, "t")) for item in items if "t" in item
        }
        words = {_text(item, "created_order") for item in items if "t" not in item}
        self.expect(found == wanted, f"the search index equals the records: {sorted(map(str, found ^ wanted))[:4]}")
        for record in self._records():
            missing = {word for word in _words(record) if len(word) >= 3} - words if _is_found(record) else set()
            self.expect(not missing, f"the dictionary has every word: {sorted(missing)[:4]}")

    def _judge_events(self) -> None:
        """Repeated deliveries of an event have the same id and count once."""
        sent: Counter[Transition] = Counter()
        details: dict[str, str] = {}
        for entry in self.stack.events.accepted:
            detail = json.loads(entry["Detail"])
            if detail["event_id"] in details:
                same = details[detail["event_id"]] == entry["Detail"]
                self.expect(same, f"a repeated event is identical: {detail['event_id']}")
                continue
            details[detail["event_id"]] = entry["Detail"]
            second = int(datetime.strptime(detail["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp())
            kind = {"ImageProcessed": "success", "ImageFailed": "failed", "ImageDeleted": "deleted"}
            self.expect(kind[entry["DetailType"]] == detail["status"], f"event types match statuses: {entry}")
            sent[detail["image_id"], detail["status"], detail["generation"], second, detail["caption"]] += 1
        self.expect(not self._due - sent, f"every transition has its event: {list(self._due - sent)[:3]}")
        self.expect(not sent - self._due, f"every event has its transition: {list(sent - self._due)[:3]}")

    def _judge_final_record(self, record: Attributes, newest: Version | None) -> None:
        image_id, status = _text(record, "image_id"), _text(record, "status")
        self.expect(status in ("success", "failed"), f"every image finishes: {image_id} is {status}")
        if newest is None:
            self.expect(
                status == "failed" and _text(record, "version") is None,
                f"no record is left without its original: {image_id} is {status}",
            )
            return
        self.expect(
            _text(record, "finished_version") == newest.version_id,
            f"the result belongs to the version in the bucket: {image_id} has {_text(record, 'finished_version')},"
            f" not {newest.version_id}",
        )
        assert newest.body is not None
        file = self.files[newest.body]
        error = json.loads(_text(record, "error") or "null")
        if status == "success":
            self.expect(file.code is None, f"only a picture succeeds: {image_id} is {file.code}")
            named = json.loads(_text(record, "thumbnails") or "null")
            for size, info in (named or {"sizes": {}})["sizes"].items():
                stored = self.stack.s3.buckets[THUMBNAILS].newest(info["key"])
                self.expect(
                    stored is not None and stored.body == file.thumbnails.get(size),
                    f"thumbnails match the picture: {size} of {image_id}",
                )
        elif error is not None:
            allowed = {file.code} - {None}
            if self.stack.network.injected.total():
                allowed |= {"retries_exhausted"} if file.code else {"retries_exhausted", "caption_failed"}
            announced = record.get("announced_bytes", {}).get("N")
            if announced is not None and int(announced) != len(newest.body):
                # The file was overwritten before any worker compared it with the announcement.
                allowed |= {"upload_mismatch"}
            self.expect(
                error["code"] in allowed, f"the error code fits the file: {image_id} {error['code']}, not {allowed}"
            )

    def _records(self) -> Iterator[Attributes]:
        return iter(list(self.stack.dynamodb.tables[IMAGES].items.values()))

    def _version(self, key: str, version_id: str) -> Version | None:
        versions = self.stack.s3.buckets[UPLOADS].versions.get(key, [])
        return next((version for version in versions if version.version_id == version_id), None)


def _contribution(record: Attributes | None) -> Counter[str]:
    status = _text(record or {}, "status")
    if status not in PUBLIC_STATUSES:
        return Counter()
    counts = Counter({str(status): 1})
    if status == "success":
        counts |= Counter({"processing_ms_total": _number(record, "processing_ms"), "buckets": 1})
    return counts


def _counters(item: Attributes | None) -> Counter[str]:
    """Return the counters of a shard, with the histogram's buckets added up."""
    counts: Counter[str] = Counter()
    for name, value in (item or {}).items():
        if name in (*PUBLIC_STATUSES, "processing_ms_total"):
            counts[name] += int(value["N"])
        elif name.startswith("bucket_"):
            counts["buckets"] += int(value["N"])
    return counts


def _same(one: Counter[str], other: Counter[str]) -> bool:
    return all(one[name] == other[name] for name in one.keys() | other.keys())


def _nonzero(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if count}


def _text(item: Attributes, name: str) -> str | None:
    return item[name]["S"] if name in item else None


def _number(item: Attributes | None, name: str) -> int:
    return int(item[name]["N"]) if item and name in item else 0


def _attempt_of_thumbnails(record: Attributes) -> str | None:
    """Return the attempt that made the thumbnails."""
    named = json.loads(_text(record, "thumbnails") or "null")
    return named["attempt"] if named else None


def _thumbnail_keys(record: Attributes) -> list[str]:
    named = json.loads(_text(record, "thumbnails") or "null")
    return [info["key"] for info in named["sizes"].values()] if named else []


def _is_found(record: Attributes) -> bool:
    return _text(record, "status") in PUBLIC_STATUSES and "processed_ms" in record


def _search_entries(record: Attributes) -> Iterator[tuple[str, str, str]]:
    """Return stem, position and all stems, as the table should have them."""
    if not _is_found(record):
        return
    stems = sorted({_STEM(word) for word in _words(record)})
    order = f"{_number(record, 'created_ms'):015d}#{_text(record, 'image_id')}"
    for stem in stems:
        yield stem, order, " ".join(stems)


def _words(record: Attributes) -> list[str]:
    texts = [_text(record, name) or "" for name in ("caption", "title", "alt_text", "original_name")]
    exif = json.loads(_text(record, "metadata") or "{}").get("exif", {})
    texts += [*json.loads(_text(record, "tags") or "[]"), exif.get("Make", ""), exif.get("Model", "")]
    plain = unicodedata.normalize("NFD", " ".join(texts).casefold()).encode("ascii", "ignore").decode()
    return re.findall("[a-z]+|[0-9]+", plain)
