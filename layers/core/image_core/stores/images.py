"""The images and statistics tables. They implement docs/state.md, with one method per transition.

Every transition replaces the record that was read by a new one, on condition that its `rev` has not changed. The
same transaction changes the counters by the difference between the two. A failed condition raises `Superseded`.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from image_core.clock import Clock
from image_core.errors import ImageError, Superseded, Unavailable
from image_core.formats import media_type
from image_core.model import (
    IDEMPOTENCY_KEY_MS,
    PUBLIC_STATUSES,
    ModelInUse,
    ModelQuality,
    NextModel,
    Outcome,
    Record,
    Stage,
    Stats,
    Status,
    StoredObject,
    ThumbnailInfo,
    Thumbnails,
)
from image_core.retry import is_transient_code, jittered_seconds
from image_core.stores.counters import (
    STATS_NAME,
    Reading,
    correction_of,
    difference,
    reading_of_shards,
    stats_from_counts,
    update_of,
)
from image_core.stores.items import from_item, to_item
from image_core.stores.queries import Page, Queries

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Page", "Records"]

_WRITE_TRIES = 8
_MOST_CAPTIONS = 5
"""Images with the same bytes that are read to find a caption or the first of them."""
_NO_CAPTION: dict[str, Any] = {one.name: None for one in fields(Outcome) if one.name.startswith("caption")}
"""The fields of a record without a caption. They change together: no caption has the confidence of another one."""
_MODEL_KEY: Any = {"name": {"S": "caption_model"}, "shard": {"N": "0"}}


class Records(Queries):
    """The records of one stack.

    `client` is a DynamoDB client. `request_id` returns the id of the current request, which is stored on the
    records that the request creates.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        *,
        images_table: str,
        stats_table: str,
        stats_shards: int,
        clock: Clock,
        rng: random.Random | None = None,
        request_id: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._rng = rng or random.Random()
        super().__init__(client, images_table, sleep=clock.sleep, rng=self._rng)
        self._stats_table = stats_table
        self._shards = stats_shards
        self.clock = clock
        self._request_id = request_id

    # Reading

    def get(self, image_id: str) -> Record | None:
        """Read the record (a consistent read). None if there is none."""
        response = self._client.get_item(
            TableName=self._table, Key={"image_id": {"S": image_id}}, ConsistentRead=True
        )
        return from_item(response["Item"]) if "Item" in response else None

    def stats(self) -> Stats:
        """The statistics. The cost does not depend on the number of images."""
        return stats_from_counts(self.counters().counts)

    def counters(self) -> Reading:
        """The current counters, including the internal ones."""
        response = self._client.query(
            TableName=self._stats_table,
            KeyConditionExpression="#name = :name",
            ExpressionAttributeNames={"#name": "name"},
            ExpressionAttributeValues={":name": {"S": STATS_NAME}},
            ConsistentRead=True,
        )
        return reading_of_shards(response["Items"])

    def with_caption(self, sha256: str, recipe: str) -> Record | None:
        """Find a `success` record with the same original and a caption of `recipe`. None if there is none.

        Only the newest images with these bytes are read, so an older caption of this recipe may be missed.
        """
        for image_id in self.same_content(sha256, limit=_MOST_CAPTIONS, newest_first=True):
            record = self.get(image_id)
            if (
                record is not None
                and record.status is Status.SUCCESS
                and (record.sha256, record.caption_recipe) == (sha256, recipe)
            ):
                return record
        return None

    def original_of(self, record: Record) -> Record | None:
        """The oldest image with the same bytes, if it is older than this one. None for the first of its kind."""
        if record.sha256 is None:
            return None
        ids = self.same_content(record.sha256, limit=_MOST_CAPTIONS, newest_first=False)
        for found in self.get_many(list(takewhile(lambda image_id: image_id != record.image_id, ids))):
            if found.status in PUBLIC_STATUSES and found.sha256 == record.sha256:
                return found
        return None

    # Transitions of docs/state.md

    def create(self, record: Record) -> Record:
        """create: a new `pending` record."""
        return self._begin(record, Status.PENDING)

    def reserve(self, record: Record) -> Record:
        """reserve: a new `reserved` record, neither listed nor counted."""
        return self._begin(record, Status.RESERVED)

    def _begin(self, record: Record, status: Status) -> Record:
        new = replace(record, rev=self._rev_after(record), status=status, request_id=self._request_id())
        return self._write(None, new)

    def renew(self, record: Record, *, deadline: int) -> Record:
        """renew: a reservation that was requested again stays until `deadline` (ms), and so does its upload."""
        assert record.status is Status.RESERVED
        renewed = replace(record, rev=record.rev + 1, deadline=deadline, upload_until=deadline, postponed=0)
        return self._write(record, renewed)

    def describe(
        self,
        record: Record,
        *,
        title: str | None,
        alt_text: str | None,
        tags: tuple[str, ...] | None,
        alt_text_source: str | None = None,
    ) -> Record:
        """describe: title, alt text and tags from the user, which no other transition changes."""
        described = replace(record, title=title, alt_text=alt_text, alt_text_source=alt_text_source, tags=tags)
        return record if described == record else self._write(record, replace(described, rev=record.rev + 1))

    def claim(self, record: Record, stored: StoredObject, *, lease_seconds: int) -> Record:
        """claim: this attempt works on `stored` from now on. A `rev` of 0 creates the record."""
        now = self.clock.now_ms()
        lease_until = now + lease_seconds * 1000
        arrived = record.status is Status.RESERVED
        claimed = replace(
            _of_version(record, stored),
            rev=self._rev_after(record),
            status=Status.PROCESSING,
            created_ms=now if arrived else record.created_ms,
            attempt=secrets.token_hex(8),
            attempts=record.attempts_at(stored.version) + 1,
            lease_until=lease_until,
            deadline=lease_until,
            postponed=0,
            error=None,
        )
        return self._write(record if record.rev else None, claimed)

    def save(
        self, record: Record, *, metadata: Mapping[str, Any], thumbnails: Mapping[str, ThumbnailInfo]
    ) -> Record:
        """save: make the metadata and thumbnails of the attempt visible."""
        assert record.attempt and record.version
        results = Thumbnails(record.attempt, record.version, record.generation, thumbnails)

        def saved(now: Record) -> Record:
            # An earlier caption stays until finish replaces it, but not next to another version's picture.
            same_picture = now.thumbnails is not None and now.thumbnails.version == results.version
            return replace(
                now if same_picture else replace(now, **_NO_CAPTION),
                metadata=metadata,
                thumbnails=results,
                content_type=media_type(metadata["format"]),
            )

        return self._write_own_attempt(record, saved)

    def release(self, record: Record, *, retry_seconds: float, pending_seconds: int) -> Record:
        """release: give the lease back. The next attempt comes in `retry_seconds`. Saved results stay.

        The attempt stays on the record: it can still finish, as long as no other attempt claims the image.
        """
        now_ms = self.clock.now_ms()
        deadline = now_ms + int(retry_seconds * 1000) + pending_seconds * 1000
        return self._write_own_attempt(record, lambda now: replace(now, lease_until=now_ms, deadline=deadline))

    def finish(self, record: Record, outcome: Outcome) -> Record:
        """finish: `success`."""
        finished_ms = self.clock.now_ms()
        return self._write_own_attempt(
            record,
            lambda now: replace(
                _ended(now, finished_ms),
                status=Status.SUCCESS,
                error=None,
                **{one.name: getattr(outcome, one.name) for one in fields(outcome)},
            ),
        )

    def fail(self, record: Record, error: ImageError) -> Record:
        """fail: called by the worker that holds the image."""
        finished_ms = self.clock.now_ms()
        return self._write_own_attempt(record, lambda now: _failed(now, error, finished_ms))

    def give_up(self, record: Record, stored: StoredObject | None, error: ImageError) -> Record:
        """fail: called by code that holds no lease. A `rev` of 0 creates the record.

        The caller has checked that no lease is live. `stored` is the object in the bucket, None if there is none.
        """
        failed = _failed(record if stored is None else _of_version(record, stored), error, self.clock.now_ms())
        return self._write(record if record.rev else None, replace(failed, rev=self._rev_after(record)))

    def reprocess(
        self, record: Record, *, pending_seconds: int, stage: Stage = Stage.ALL, force: bool = False
    ) -> Record:
        """reprocess: a new `pending` generation that recreates `stage`. Earlier results stay visible.

        `force`: the caption is computed again, even if one of the same recipe and bytes could be copied.
        """
        now = self.clock.now_ms()
        return self._write(
            record,
            replace(
                _next_generation(record, stage, force=force),
                rev=record.rev + 1,
                status=Status.PENDING,
                requested_ms=now,
                request_id=self._request_id(),
                deadline=now + pending_seconds * 1000,
                attempt=None,
                attempts=0,
                lease_until=0,
                postponed=0,
                error=None,
            ),
        )

    def mark_deleting(
        self,
        record: Record,
        *,
        deadline_seconds: int,
        stored: StoredObject | None = None,
        ends_upload: bool = False,
    ) -> Record:
        """delete: hide the image and stop counting it. The version on the record is the one to remove.

        `stored` is the object that was in the bucket when the deletion was requested. The deletion includes it,
        claimed or not. With `ends_upload`, a presigned URL that is still valid cannot bring the image back.
        """
        now = self.clock.now_ms()
        deadline = now + deadline_seconds * 1000
        marked = record
        if record.version is None:
            # An upload may be in progress: keep the record until nothing can arrive any more.
            deadline = max(deadline, record.deadline)
        elif stored is not None:
            marked = replace(record, version=stored.version, version_etag=stored.etag)
        upload_until = record.upload_until if ends_upload and record.upload_until > now else 0
        # Until then an object may arrive, and the record must exist to say that it was deleted.
        deadline = max(deadline, upload_until)
        if record.keeps_idempotency_key(now):
            # A repeated request with the same Idempotency-Key must not create this image again.
            deadline = max(deadline, record.created_ms + IDEMPOTENCY_KEY_MS)
        return self._write(
            record,
            replace(
                marked,
                rev=record.rev + 1,
                status=Status.DELETING,
                deadline=deadline,
                upload_until=upload_until,
                attempt=None,
                lease_until=0,
            ),
        )

    def reindex(self, record: Record) -> Record:
        """reindex: write a record of an earlier version again, so that it gets the index keys of this version."""
        return self._write(record, replace(record, rev=record.rev + 1))

    def purge(self, record: Record) -> None:
        """purge: remove the record of a finished deletion or of a stale reservation."""
        assert record.status in (Status.DELETING, Status.RESERVED)
        try:
            self._client.delete_item(
                TableName=self._table,
                Key={"image_id": {"S": record.image_id}},
                ConditionExpression="#rev = :rev",
                ExpressionAttributeNames={"#rev": "rev"},
                ExpressionAttributeValues={":rev": {"N": str(record.rev)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            if self.get(record.image_id) is not None:
                raise Superseded from error

    def postpone(self, record: Record, *, deadline_seconds: int) -> Record:
        """postpone: the sweep has done what it can. It checks again after twice the previous wait."""
        delay_ms = deadline_seconds * 1000 * 2**record.postponed
        return self._write(
            record,
            replace(
                record, rev=record.rev + 1, deadline=self.clock.now_ms() + delay_ms, postponed=record.postponed + 1
            ),
        )

    def correct(self, change: Mapping[str, int], reading: Reading) -> None:
        """Add `change` to the counters. Raises `Superseded` if they were corrected since `reading` was read.

        Transitions change records and counters alike, so an error that a recount finds at a quiet moment stays the
        same size whatever happens later. The correction may therefore be added at any time, but only once.
        """
        try:
            self._client.update_item(**correction_of(change, self._stats_table, reading.corrections))
        except self._client.exceptions.ConditionalCheckFailedException as error:
            raise Superseded from error

    # The caption model: the one that the processor last loaded, and the one that will replace it

    def announce_caption_model(self, model: str, quality: ModelQuality | None = None) -> None:
        """Store the model in use, for `/health`. It also replaces the next model."""
        item = {**_MODEL_KEY, "model": {"S": model}}
        if quality is not None:
            item["quality"] = {"S": json.dumps(asdict(quality))}
        self._client.put_item(TableName=self._stats_table, Item=item)

    def announce_next_caption_model(self, model: NextModel) -> None:
        """Store the progress of a model that is being downloaded or exported."""
        self._client.update_item(
            TableName=self._stats_table,
            Key=_MODEL_KEY,
            UpdateExpression="SET next_model = :name, next_percent = :percent",
            ExpressionAttributeValues={":name": {"S": model.name}, ":percent": {"N": str(model.percent)}},
        )

    def caption_model(self) -> ModelInUse:
        """The last announcements."""
        response = self._client.get_item(TableName=self._stats_table, Key=_MODEL_KEY)
        item: Any = response.get("Item", {})
        next_model = None
        if "next_model" in item:
            next_model = NextModel(item["next_model"]["S"], int(item["next_percent"]["N"]))
        quality = ModelQuality(**json.loads(item["quality"]["S"])) if "quality" in item else None
        return ModelInUse(item["model"]["S"] if "model" in item else None, next_model, quality)

    # Writing

    def _rev_after(self, record: Record) -> int:
        """The `rev` of the next write.

        A new record begins at a random number. If an image is deleted and dropped again, its revs must not repeat
        those of its predecessor, because a late worker may still hold one of them.
        """
        return record.rev + 1 if record.rev else 1 + self._rng.getrandbits(40)

    def _write_own_attempt(self, record: Record, change: Callable[[Record], Record]) -> Record:
        """Apply `change` to the newest state of the record, as long as the attempt on it is still `record`'s."""
        for _ in range(_WRITE_TRIES):
            try:
                return self._write(record, replace(change(record), rev=record.rev + 1))
            except Superseded:
                now = self.get(record.image_id)
                if now is None or now.status is not Status.PROCESSING or now.attempt != record.attempt:
                    raise
                record = now
        raise Superseded

    def _write(self, old: Record | None, new: Record) -> Record:
        """Replace `old` by `new`, and update the counters. Raises `Superseded`.

        If the response to a successful write was lost, the retry is refused and finds `new` in the table.
        """
        put: dict[str, Any] = {"TableName": self._table, "Item": to_item(new)}
        if old is None:
            put |= {
                "ConditionExpression": "attribute_not_exists(#id)",
                "ExpressionAttributeNames": {"#id": "image_id"},
            }
        else:
            put |= {
                "ConditionExpression": "#rev = :rev",
                "ExpressionAttributeNames": {"#rev": "rev"},
                "ExpressionAttributeValues": {":rev": {"N": str(old.rev)}},
            }
        try:
            self._put(put, difference(old, new))
        except Superseded:
            if self.get(new.image_id) != new:
                raise
        return new

    def _put(self, put: dict[str, Any], change: Mapping[str, int]) -> None:
        exceptions = self._client.exceptions
        for attempt in range(_WRITE_TRIES):
            try:
                if not change:
                    self._client.put_item(**put)
                else:
                    shard = self._rng.randrange(self._shards)
                    writes: Any = [{"Put": put}, update_of(change, self._stats_table, shard)]
                    self._client.transact_write_items(TransactItems=writes)
                return
            except exceptions.ConditionalCheckFailedException as error:
                raise Superseded from error
            except (exceptions.TransactionConflictException, exceptions.TransactionInProgressException):
                pass
            except exceptions.TransactionCanceledException as error:
                reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
                if "ConditionalCheckFailed" in reasons:
                    raise Superseded from error
                if not any(is_transient_code(str(reason)) for reason in reasons):
                    raise
            # The next try goes to another shard, to avoid a hot counter.
            self.clock.sleep(jittered_seconds(attempt, self._rng))
        raise Unavailable


def _next_generation(record: Record, stage: Stage, *, force: bool) -> Record:
    """Return the record in its next generation. Results outside of `stage` are kept if this generation has them.

    This generation may lack results that an earlier reprocess requested and that no attempt has made yet. The next
    generation makes them too, whatever `stage` is.
    """
    generation, thumbnails = record.generation + 1, record.thumbnails
    if stage is Stage.CAPTION and thumbnails is not None and record.has_saved():
        thumbnails = replace(thumbnails, generation=generation)
    keeps_caption = stage is Stage.THUMBNAILS and record.has_caption()
    must_compute = force or (record.must_compute_caption() and not record.has_caption())
    return replace(
        record,
        generation=generation,
        thumbnails=thumbnails,
        caption_kept_generation=generation if keeps_caption else None,
        caption_forced_generation=generation if must_compute and not keeps_caption else None,
    )


def _of_version(record: Record, stored: StoredObject) -> Record:
    """Return the record of `stored`. `announced_*` describes only the first version. A new one has no caption."""
    is_first_version = record.version in (None, stored.version)
    return replace(
        record,
        size_bytes=stored.size_bytes,
        announced_bytes=record.announced_bytes if is_first_version else None,
        announced_sha256=record.announced_sha256 if is_first_version else None,
        version=stored.version,
        version_etag=stored.etag,
        caption_kept_generation=record.caption_kept_generation if record.version == stored.version else None,
    )


def _ended(record: Record, finished_ms: int) -> Record:
    """Return the record without its attempt. Its outcome belongs to the current version and generation."""
    return replace(
        record,
        deadline=0,
        attempt=None,
        lease_until=0,
        finished_version=record.version,
        finished_generation=record.generation,
        processed_ms=finished_ms,
    )


def _failed(record: Record, failure: ImageError, finished_ms: int) -> Record:
    """Return the record as `failed`. Results of other versions are dropped: they would show another picture."""
    if record.thumbnails is None or record.thumbnails.version != record.version:
        record = replace(record, metadata=None, thumbnails=None, **_NO_CAPTION)
    return replace(
        _ended(record, finished_ms),
        status=Status.FAILED,
        error={"code": failure.code, "message": failure.message},
        processing_ms=None,
    )
