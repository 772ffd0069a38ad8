"""Lambda's event source mapping for a DynamoDB stream: reads its shards, and invokes a function with batches.

A failed batch is delivered again, split in halves, from its first failed record, until it succeeds: no record is
ever discarded. Filters are not applied: the function gets every record.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import logs
from local.deploy import StreamSource
from local.function import Function, InvocationError, WorkerFailed

_FIND_SHARDS_SECONDS = 10.0
_LOST_PLACE = ("ExpiredIteratorException", "TrimmedDataAccessException")


def lambda_event(records: Sequence[Mapping[str, Any]], *, stream_arn: str) -> dict[str, Any]:
    """Convert records of the stream to a Lambda event."""
    every = [{**record, "eventSourceARN": stream_arn} for record in records]
    event: dict[str, Any] = json.loads(json.dumps({"Records": every}, default=_as_json))
    return event


def _as_json(value: Any) -> Any:
    """Convert times to seconds since 1970, and bytes to base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.timestamp()


def first_failed(result: Any, records: Sequence[Mapping[str, Any]]) -> int:
    """The position of the first record to deliver again: the number of records if all succeeded.

    An entry that names no record of the batch means that all failed.
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    numbers = [number_of(record) for record in records]
    positions = [
        numbers.index(failure["itemIdentifier"]) if failure.get("itemIdentifier") in numbers else 0
        for failure in failures or []
    ]
    return min(positions, default=len(records))


def number_of(record: Mapping[str, Any]) -> str:
    """The sequence number of a record."""
    return str(record["dynamodb"]["SequenceNumber"])


@dataclass
class _Shard:
    """The position of a shard's reader. `waiting` has records that were read but not processed yet."""

    iterator: str | None = None
    last_read: str | None = None
    is_closed: bool = False
    waiting: list[Any] = field(default_factory=list)
    batch_size: int = 0


class StreamPoller:
    """The poller of one mapping."""

    def __init__(
        self, streams: Any, source: StreamSource, function: Function, *, poll_seconds: float = 0.5
    ) -> None:
        self._streams = streams
        self._source = source
        self._function = function
        self._poll_seconds = poll_seconds
        self._shards: dict[str, _Shard] = {}
        self._find_shards_at = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Poll until `stopping` is set."""
        while not stopping.is_set():
            try:
                found = self.poll()
            except (BotoCoreError, ClientError, InvocationError) as error:
                if stopping.is_set():
                    return
                what = "cannot read the stream" if not isinstance(error, InvocationError) else "will be retried"
                logs.write(self._function.name, f"{what}: {error}")
                found = False
            if not found:
                stopping.wait(self._poll_seconds)

    def poll(self) -> bool:
        """Deliver one batch of each shard. False if nothing was delivered, or if a batch failed.

        Raises `InvocationError` if the function did not finish a batch.
        """
        if time.monotonic() >= self._find_shards_at:
            described = self._streams.describe_stream(StreamArn=self._source.stream_arn)["StreamDescription"]
            for shard in described["Shards"]:
                self._shards.setdefault(shard["ShardId"], _Shard())
            self._find_shards_at = time.monotonic() + _FIND_SHARDS_SECONDS
        delivered = False
        for shard_id, shard in self._shards.items():
            self._read(shard_id, shard)
            if shard.waiting:
                delivered = self._deliver(shard) or delivered
        return delivered

    def _read(self, shard_id: str, shard: _Shard) -> None:
        if shard.waiting or shard.is_closed:
            return
        try:
            if shard.iterator is None:
                shard.iterator = self._iterator(shard_id, shard)
            page = self._streams.get_records(ShardIterator=shard.iterator, Limit=self._source.batch_size)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _LOST_PLACE:
                raise
            shard.iterator = None
            shard.last_read = None if code == "TrimmedDataAccessException" else shard.last_read
            return
        shard.iterator = page.get("NextShardIterator")
        shard.is_closed = shard.iterator is None
        shard.waiting = list(page["Records"])
        shard.batch_size = len(shard.waiting)
        if shard.waiting:
            shard.last_read = number_of(shard.waiting[-1])

    def _iterator(self, shard_id: str, shard: _Shard) -> str:
        place: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if shard.last_read is not None:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.last_read}
        found = self._streams.get_shard_iterator(StreamArn=self._source.stream_arn, ShardId=shard_id, **place)
        return str(found["ShardIterator"])

    def _deliver(self, shard: _Shard) -> bool:
        """Deliver a batch. False if it failed, completely or partly."""
        batch = shard.waiting[: shard.batch_size]
        half = max(1, len(batch) // 2)
        try:
            with self._function.reserve() as worker:
                result = worker.invoke(lambda_event(batch, stream_arn=self._source.stream_arn))
        except WorkerFailed:
            raise
        except InvocationError:
            shard.batch_size = half
            raise
        done = first_failed(result, batch)
        del shard.waiting[:done]
        shard.batch_size = self._source.batch_size if done == len(batch) else half
        return done == len(batch)
