"""Table streams that keep only their newest records.

DynamoDB keeps a record for 24 hours. moto keeps all records, and an iterator for each page that was ever read. Here
a stream keeps `RECORDS` records and the emulator keeps `ITERATORS` iterators. A reader that falls behind continues
with the oldest remaining record. A reader with a dropped iterator gets DynamoDB's error for an expired one.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.dynamodb.models.table import StreamRecord, StreamShard
from moto.dynamodbstreams.models import DynamoDBStreamsBackend

from local.moto_patches.replacing import replace, wrap

RECORDS = 5_000
ITERATORS = 1_000


def apply() -> None:
    """Limit streams and iterators."""
    wrap(StreamRecord, "__init__", _pack)
    replace(StreamRecord, "to_json", _unpack)
    wrap(StreamShard, "add", _add)
    wrap(StreamShard, "get", _get)
    wrap(DynamoDBStreamsBackend, "get_shard_iterator", _get_shard_iterator)
    wrap(DynamoDBStreamsBackend, "get_records", _get_records)


class ExpiredIterator(ServiceException):
    """DynamoDB's error for an iterator that is too old."""

    code = "ExpiredIteratorException"
    message = "The shard iterator has expired. Get a new one with GetShardIterator."


def _pack(original: Callable[..., None], record: Any, *arguments: Any, **named: Any) -> None:
    """Store a record as bytes: with 40 attributes, it takes a fifth of the memory."""
    original(record, *arguments, **named)
    record.packed = pickle.dumps(record.record)
    del record.record


def _unpack(record: Any) -> Any:
    return pickle.loads(record.packed)  # noqa: S301  # packed above


def _add(original: Callable[..., None], shard: StreamShard, *arguments: Any, **named: Any) -> None:
    original(shard, *arguments, **named)
    excess = len(shard.items) - RECORDS
    if excess > 0:
        del shard.items[:excess]
        # moto numbers records relative to this one.
        shard.starting_sequence_number += excess


def _get(original: Callable[..., Any], shard: StreamShard, start: int, quantity: int) -> Any:
    return original(shard, max(start, shard.starting_sequence_number), quantity)


def _get_shard_iterator(
    original: Callable[..., Any], backend: DynamoDBStreamsBackend, *arguments: Any, **named: Any
) -> Any:
    iterator = original(backend, *arguments, **named)
    _drop_old_iterators(backend)
    return iterator


def _get_records(
    original: Callable[..., Any], backend: DynamoDBStreamsBackend, iterator_arn: str, limit: int
) -> Any:
    if iterator_arn not in backend.shard_iterators:
        raise ExpiredIterator
    found = original(backend, iterator_arn, limit)
    _drop_old_iterators(backend)
    return found


def _drop_old_iterators(backend: DynamoDBStreamsBackend) -> None:
    iterators = backend.shard_iterators
    while len(iterators) > ITERATORS:
        del iterators[next(iter(iterators))]
