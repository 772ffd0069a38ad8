"""Deliberate bugs that are added to this process only. The simulator must find each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from image_core.errors import Busy, Superseded
from image_core.lifecycle.decide import Decision, decide_dead_letter
from image_core.lifecycle.delete import mark
from image_core.lifecycle.state import ImageState, load_state
from image_core.model import Record, Stage, StoredObject
from image_core.services import Services
from image_core.stores.batches import Batches
from image_core.stores.counters import update_of
from image_core.stores.events import Event, EventBus
from image_core.stores.images import Records, _of_version
from image_core.stores.objects import Storage
from image_core.stores.search_items import Key, changes
from image_processor import pipeline

_captioned = pipeline._captioned
_changes = changes
_load_state = load_state
_decide_dead_letter = decide_dead_letter


def _write_any_attempt(self: Records, record: Record, change: Callable[[Record], Record]) -> Record:
    """`Records._write_own_attempt` without the condition that the record still has the worker's attempt."""
    for _ in range(8):
        try:
            return self._write(record, replace(change(record), rev=record.rev + 1))
        except Superseded:
            now = self.get(record.image_id)
            if now is None:
                raise
            record = now
    raise Superseded


_put = Records._put


def _put_then_count(self: Records, put: dict[str, Any], change: Mapping[str, int]) -> None:
    """`Records._put` with a separate write for the counters."""
    _put(self, put, {})
    if change:
        update = update_of(change, self._stats_table, self._rng.randrange(self._shards))["Update"]
        self._client.update_item(**update)


def _head_first(key: str, services: Services) -> ImageState:
    """`load_state` in the wrong order: first the object, then the record."""
    stored = services.storage.head(key)
    return replace(_load_state(key, services), stored=stored)


def _fail_images_of_other_workers(record: Record | None, *rest: Any, **more: Any) -> Decision:
    """`decide_dead_letter` that ignores other workers."""
    at_work = record is not None and record.status == "processing"
    try:
        decision = _decide_dead_letter(record, *rest, **more)
    except Busy:
        if at_work:
            return Decision.GIVE_UP
        raise
    return Decision.GIVE_UP if decision is Decision.NOTHING and at_work else decision


def _mark_the_claimed_version(record: Record, services: Services) -> Record:
    """`mark_for_caller` before its correction: it does not check which version is in the bucket."""
    return mark(record, services)


def _mark_one_version(record: Record, services: Services) -> Record:
    """`mark_for_caller` before its correction: a presigned URL brings the image back."""
    stored = services.storage.head(record.key)
    seconds = services.settings.pending_timeout_seconds
    return services.records.mark_deleting(record, deadline_seconds=seconds, stored=stored)


def _rev_after(self: Records, record: Record) -> int:
    """`Records._rev_after` before its correction: every record starts at 1."""
    return record.rev + 1


def _download_pinned(self: Storage, stored: StoredObject) -> bytes:
    """`Storage.download` before its correction: it accepts an old version."""
    assert stored.version_id is not None
    response = self._client.get_object(Bucket=self.uploads_bucket, Key=stored.key, VersionId=stored.version_id)
    return response["Body"].read()


def _of_version_with_its_caption(record: Record, stored: StoredObject) -> Record:
    """`images._of_version` that keeps a kept caption although the file was overwritten."""
    return replace(_of_version(record, stored), caption_kept_generation=record.caption_kept_generation)


def _keep_existing_results(record: Record, stage: Stage, *, force: bool) -> Record:
    """`images._next_generation` that forgets what an earlier reprocess requested."""
    generation, thumbnails = record.generation + 1, record.thumbnails
    if stage is Stage.CAPTION and thumbnails is not None:
        thumbnails = replace(thumbnails, generation=generation)
    kept = generation if stage is Stage.THUMBNAILS and record.caption is not None else None
    return replace(
        record,
        generation=generation,
        thumbnails=thumbnails,
        caption_kept_generation=kept,
        caption_forced_generation=generation if force else None,
    )


def _with_a_caption_of_any_recipe(self: Records, sha256: str, recipe: str) -> Record | None:
    """`Records.with_caption` that copies a caption by a different model."""
    records = filter(None, map(self.get, self.same_content(sha256, limit=5, newest_first=True)))
    return next((one for one in records if one.status == "success" and one.sha256 == sha256), None)


def _with_a_caption_by_the_index(self: Records, sha256: str, recipe: str) -> Record | None:
    """`Records.with_caption` that trusts the index, which lags behind when a file is overwritten."""
    records = filter(None, map(self.get, self.same_content(sha256, limit=5, newest_first=True)))
    return next((one for one in records if one.status == "success" and one.caption_recipe == recipe), None)


def _captioned_without_flags(record: Record) -> Any:
    """`pipeline._captioned` that copies only the text of a caption."""
    return _captioned(replace(record, caption_confidence=None, caption_flags=None))


def _send_without_check(self: EventBus, events: Sequence[Event]) -> None:
    """`EventBus.send` that ignores errors about single entries in the response."""
    for first in range(0, len(events), 10):
        self._client.put_events(Entries=[self._entry(event) for event in events[first : first + 10]])


def _changes_without_deletions(old: Record | None, new: Record | None) -> dict[Key, str | None]:
    """`search_items.changes` that leaves the words which an image no longer has."""
    return {key: text for key, text in _changes(old, new).items() if text is not None}


def _write_without_check(self: Batches, requests: Sequence[dict[str, Any]]) -> None:
    """`Batches.write` that ignores the writes which DynamoDB left undone."""
    for first in range(0, len(requests), 25):
        self._client.batch_write_item(RequestItems={self._table: list(requests[first : first + 25])})


BUGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "attempt-condition": lambda: patch.object(Records, "_write_own_attempt", _write_any_attempt),
    "separate-counters": lambda: patch.object(Records, "_put", _put_then_count),
    "head-first": lambda: patch("image_core.lifecycle.engine.load_state", _head_first),
    "greedy-dead-letters": lambda: patch(
        "image_core.lifecycle.engine.decide_dead_letter", _fail_images_of_other_workers
    ),
    "any-recipe": lambda: patch.object(Records, "with_caption", _with_a_caption_of_any_recipe),
    "stale-content": lambda: patch.object(Records, "with_caption", _with_a_caption_by_the_index),
    "text-alone": lambda: patch.object(pipeline, "_captioned", _captioned_without_flags),
    "kept-caption": lambda: patch("image_core.stores.images._of_version", _of_version_with_its_caption),
    "last-stage-wins": lambda: patch("image_core.stores.images._next_generation", _keep_existing_results),
    "words-stay": lambda: patch("image_stream.index.changes", _changes_without_deletions),
    "unwritten-words": lambda: patch.object(Batches, "write", _write_without_check),
    "unread-response": lambda: patch.object(EventBus, "send", _send_without_check),
    # Real bugs that the simulator has found
    "claimed-version": lambda: patch("image_api.routes.images.mark_for_caller", _mark_the_claimed_version),
    "valid-url": lambda: patch("image_api.routes.images.mark_for_caller", _mark_one_version),
    "revs-from-one": lambda: patch.object(Records, "_rev_after", _rev_after),
    "pinned-download": lambda: patch.object(Storage, "download", _download_pinned),
    "conflict-is-change": lambda: patch(
        "image_core.stores.objects._CHANGED_CODES", {"412", "PreconditionFailed", "ConditionalRequestConflict"}
    ),
}
"""By name: a context manager that adds the bug while it is active."""
