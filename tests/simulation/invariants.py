"""What must hold: at every write, and at rest. Written down anew from DESIGN.md, without the code under test."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.simulation.bodies import File
from tests.simulation.s3 import Version
from tests.simulation.stack import IMAGES, STATS, THUMBNAILS, UPLOADS, Stack

PUBLIC_STATUSES = ("pending", "processing", "success", "failed")
EVERYTHING = frozenset({"thumbnails", "caption"})
Attributes = dict[str, Any]
Transition = tuple[str | None, str | None, int, int, str | None]
"""Image, new status, generation, second and caption of what an event tells of."""


class Watch:
    """Sees every write, knows what users have put, and judges the end. `checked` counts what was looked at."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.checked: Counter[str] = Counter()
        self.files: dict[bytes, File] = {}
        self.requested_deletions: set[str] = set()
        """Ids for which a DELETE was sent, answered or not."""
        self.deleted: dict[str, str] = {}
        """Ids and keys of images whose DELETE was answered by 204, and that nobody put anew."""
        self.accepted: dict[str, str] = {}
        """Ids and keys of uploads that were answered by 202."""
        self.by_users: set[str] = set()
        """Keys that a user has deleted in the bucket."""
        self.expected: Counter[str] = Counter()
        """What the records count for, kept up with every write."""
        self.at_last_read: tuple[Counter[str], int] = (Counter(), 0)
        """The same, and how many transactions were half written, when the counters were last read."""
        self._counted: Counter[str] = Counter()
        self._holders: dict[str, str] = {}
        self._wanted: dict[str, frozenset[str]] = {}
        """By image: what is to be made before it may end as a success."""
        self._captions: dict[str, str | None] = {}
        """By image: the caption of its last success."""
        self._all_captions: set[str | None] = set()
        self._due: Counter[Transition] = Counter()
        """What the bus must have an event for."""
        stack.dynamodb.on_write = self._written
        stack.s3.on_delete = self._deleting
        stack.dynamodb.caller = lambda: stack.network.caller
        stack.dynamodb.on_query = self._reading

    def record(self, image_id: str) -> Attributes | None:
        """The item of an image, as it is now."""
        return self.stack.dynamodb.tables[IMAGES].items.get((image_id,))

    def expect(self, holds: bool, what: str) -> None:
        """Reports `what` unless it holds."""
        self.checked[what.partition(":")[0]] += 1
        if not holds:
            self.stack.world.report(what)

    # At every write

    def _written(self, caller: str, table: str, old: Attributes | None, new: Attributes | None) -> None:
        if table == STATS:
            self._counted.update(_counters(new))
            self._counted.subtract(_counters(old))
        else:
            self.expected.update(_contribution(new))
            self.expected.subtract(_contribution(old))
            self._judge(caller, old, new)
            self._note_transition(old, new)
            if new is not None:
                self._judge_what_is_made(caller, old or {}, new)
        if not self.stack.dynamodb.under_way:
            self.expect(
                _same(self.expected, self._counted),
                f"counters equal a recount: {_nonzero(self._counted)} are counted, {_nonzero(self.expected)} there",
            )

    def _note_transition(self, old: Attributes | None, new: Attributes | None) -> None:
        """Keeps what docs/events.md promises an event for."""
        before, status = _text(old or {}, "status"), _text(new or {}, "status")
        shown = new or old
        if status in ("success", "failed"):
            if (
                old is not None
                and before == status
                and _number(old, "processed_ms") == _number(new, "processed_ms")
            ):
                return  # a user's text was changed
            second, caption = _number(new, "processed_ms") // 1000, _text(new or {}, "caption")
        elif before in PUBLIC_STATUSES and status in (None, "deleting"):
            status, second, caption = "deleted", int(self.stack.world.now), None
        else:
            return
        self._due[_text(shown or {}, "image_id"), status, _number(shown, "generation"), second, caption] += 1

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
            f"attempts are bounded: {image_id} is at {_number(new, 'attempts')}",
        )
        if old is not None:
            self.expect(
                _number(new, "generation") >= _number(old, "generation")
                and (_text(new, "version") or "") >= (_text(old, "version") or ""),
                f"generation and version never go back: {image_id} from {_text(old, 'version')}"
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
                    f"a record names only thumbnails that are there: {status} {image_id} names {key}",
                )
        if status == "success":
            self._judge_success(new)

    def _judge_the_holder(self, caller: str, old: Attributes, new: Attributes, now_ms: int) -> None:
        """What ends or fills an attempt comes from the worker that holds it, at least while its lease is alive."""
        attempt = _text(old, "attempt") or ""
        ends = _text(new, "status") in ("success", "failed")
        saves = _text(new, "attempt") == attempt and _text(new, "thumbnails") != _text(old, "thumbnails")
        if not ends and not saves:
            return
        alive = _number(old, "lease_until") > now_ms
        holder = self._holders.get(attempt)
        self.expect(
            caller == holder or (_text(new, "status") == "failed" and not alive),
            f"nobody meddles with an attempt: {_text(new, 'status')} of {_text(new, 'image_id')} by {caller},"
            f" held by {holder}",
        )

    def _judge_what_is_made(self, caller: str, old: Attributes, new: Attributes) -> None:
        """What was asked for is made anew, once, and nothing else; a new version needs everything."""
        image_id = _text(new, "image_id") or ""
        wanted = self._wanted.get(image_id, EVERYTHING)
        if not old or _text(new, "version") != _text(old, "version"):
            wanted |= EVERYTHING
        if old and _number(new, "generation") > _number(old, "generation"):
            wanted |= self._asked_by(caller)
        if _text(new, "thumbnails") is not None and _maker(new) != _maker(old):
            self.expect("thumbnails" in wanted, f"what is kept is not made anew: thumbnails of {image_id}")
            wanted -= {"thumbnails"}
        if _text(new, "status") == "success" and _text(old, "status") != "success":
            caption = _text(new, "caption")
            if "caption" in wanted:
                self._judge_caption(caller, new, forced="forced caption" in wanted)
            else:
                self.expect(
                    caption == self._captions.get(image_id),
                    f"what is kept is not made anew: the caption of {image_id}",
                )
            self.expect("thumbnails" not in wanted, f"what was asked for is made: thumbnails of {image_id}")
            self._captions[image_id] = caption
            self._all_captions.add(caption)
            wanted = frozenset()
        self._wanted[image_id] = wanted

    def _asked_by(self, caller: str) -> frozenset[str]:
        """What a reprocess asks for; those of an engineer have no URL, and ask for everything."""
        query = parse_qs(urlsplit(self.stack.urls.get(caller, "")).query)
        (stage,) = query.get("stage", ["all"])
        asked = EVERYTHING if stage == "all" else frozenset({stage})
        forces = query.get("force") == ["true"] and "caption" in asked
        return asked | {"forced caption"} if forces else asked

    def _judge_caption(self, caller: str, new: Attributes, *, forced: bool) -> None:
        """It is the worker's own model's, computed or copied; with `forced`, computed. `_judge_success` checks that
        it is of these bytes."""
        image_id, caption, recipe = _text(new, "image_id"), _text(new, "caption") or "", self.stack.recipes[caller]
        self.expect(
            (_text(new, "caption_recipe") or "").startswith(f"{recipe}-") and caption.endswith(f"by {recipe}"),
            f"a caption is of the model at hand: that of {image_id} by {caller} with {recipe} is {caption}",
        )
        self.expect(
            not forced or caption not in self._all_captions,
            f"what was asked for is made: the caption of {image_id}",
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
            f"success shows what was processed: {image_id}, version {version_id}",
        )

    def _deleting(self, bucket: str, key: str) -> None:
        caller = self.stack.network.caller
        if bucket == THUMBNAILS:
            record = self.record(key.partition("/")[0])
            self.expect(
                record is None
                or _text(record, "status") not in PUBLIC_STATUSES
                or key not in _thumbnail_keys(record),
                f"what is served is not removed: {key} by {caller}",
            )
        elif caller != "user":
            newest = self.stack.s3.buckets[bucket].newest(key)
            records = [r for r in self._records() if _text(r, "key") == key and _text(r, "status") == "deleting"]
            # By ETag, as S3's conditional delete goes: who puts the very same bytes meanwhile sees them deleted.
            intended = [newest and newest.etag.strip('"') in (_text(r, "version_etag"),) for r in records]
            # And what may have come by a presigned URL that its deletion ended.
            intended += [newest and newest.modified * 1000 <= _number(r, "upload_until") for r in records]
            self.expect(
                newest is None or any(intended) or any(_text(r, "version") is None for r in records),
                f"only what is to be deleted is deleted: {key} {newest and newest.version_id} by {caller}",
            )

    # At rest

    def judge_rest(self, *, reconciled: bool) -> None:
        """Everything has ended, and sweep and reconcile have run."""
        uploads, thumbnails = self.stack.s3.buckets[UPLOADS], self.stack.s3.buckets[THUMBNAILS]
        served: set[str] = set()
        by_key: Counter[str] = Counter()
        recount: Counter[str] = Counter()
        for record in self._records():
            recount.update(_contribution(record))
            by_key[_text(record, "key") or ""] += 1
            served.update(_thumbnail_keys(record))
            self._judge_at_rest(record, uploads.newest(_text(record, "key") or ""))
        self.expect(
            _same(recount, self._counted) and _same(recount, self.expected),
            f"counters equal a recount at rest: {_nonzero(self._counted)} are counted, {_nonzero(recount)} there",
        )
        for key in uploads.keys:
            newest = uploads.newest(key)
            wanted = 0 if key.endswith("/") and newest is not None and newest.body == b"" else 1
            self.expect(by_key[key] == wanted, f"an object has one record: {key} has {by_key[key]}")
        left = set(thumbnails.keys) - served
        if reconciled or not self.stack.network.injected.total():
            # Of a killed worker, or of a call that arrived late, some may be left: those reconcile removes.
            self.expect(not left, f"no thumbnail outlives its record: {sorted(left)[:3]}")
        for image_id, key in self.deleted.items():
            found = self.record(image_id)
            self.expect(
                (found is None or _text(found, "key") != key) and uploads.newest(key) is None,
                f"what was deleted does not come back: {image_id}",
            )
        for image_id, key in self.accepted.items():
            gone = image_id in self.requested_deletions or key in self.by_users
            self.expect(gone or self.record(image_id) is not None, f"no upload is lost: {image_id}")

        self._judge_events()

    def _judge_events(self) -> None:
        """Deliveries of one event have one id, and are counted once."""
        sent: Counter[Transition] = Counter()
        details: dict[str, str] = {}
        for entry in self.stack.events.accepted:
            detail = json.loads(entry["Detail"])
            if detail["event_id"] in details:
                same = details[detail["event_id"]] == entry["Detail"]
                self.expect(same, f"an event that is sent again is the same: {detail['event_id']}")
                continue
            details[detail["event_id"]] = entry["Detail"]
            second = int(datetime.strptime(detail["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp())
            kind = {"ImageProcessed": "success", "ImageFailed": "failed", "ImageDeleted": "deleted"}
            self.expect(kind[entry["DetailType"]] == detail["status"], f"types fit statuses: {entry}")
            sent[detail["image_id"], detail["status"], detail["generation"], second, detail["caption"]] += 1
        self.expect(not self._due - sent, f"no transition without its event: {list(self._due - sent)[:3]}")
        self.expect(not sent - self._due, f"no event without its transition: {list(sent - self._due)[:3]}")

    def _judge_at_rest(self, record: Attributes, newest: Version | None) -> None:
        image_id, status = _text(record, "image_id"), _text(record, "status")
        self.expect(status in ("success", "failed"), f"nothing stays as it is for ever: {image_id} is {status}")
        if newest is None:
            self.expect(
                status == "failed" and _text(record, "version") is None,
                f"no record outlives its original: {image_id} is {status}",
            )
            return
        self.expect(
            _text(record, "finished_version") == newest.version_id,
            f"the outcome is that of what lies in the bucket: {image_id} shows {_text(record, 'finished_version')},"
            f" not {newest.version_id}",
        )
        assert newest.body is not None
        file = self.files[newest.body]
        error = json.loads(_text(record, "error") or "null")
        if status == "success":
            self.expect(file.code is None, f"success means a picture: {image_id} is {file.code}")
            named = json.loads(_text(record, "thumbnails") or "null")
            for size, info in (named or {"sizes": {}})["sizes"].items():
                stored = self.stack.s3.buckets[THUMBNAILS].newest(info["key"])
                self.expect(
                    stored is not None and stored.body == file.thumbnails.get(size),
                    f"thumbnails are those of the picture: {size} of {image_id}",
                )
        elif error is not None:
            fitting = {file.code} - {None}
            if self.stack.network.injected.total():
                fitting |= {"retries_exhausted"} if file.code else {"retries_exhausted", "caption_failed"}
            announced = record.get("announced_bytes", {}).get("N")
            if announced is not None and int(announced) != len(newest.body):
                # Overwritten before anybody looked at what was announced.
                fitting |= {"upload_mismatch"}
            self.expect(error["code"] in fitting, f"failed says why: {image_id} {error['code']}, not {fitting}")

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
    """The counters of a shard; those of the histogram are added up."""
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


def _maker(record: Attributes) -> str | None:
    """The attempt that made the thumbnails."""
    named = json.loads(_text(record, "thumbnails") or "null")
    return named["attempt"] if named else None


def _thumbnail_keys(record: Attributes) -> list[str]:
    named = json.loads(_text(record, "thumbnails") or "null")
    return [info["key"] for info in named["sizes"].values()] if named else []
