"""Batches of reads and writes of one table. DynamoDB may leave a part of a batch undone; it is repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from image_core.errors import Unavailable
from image_core.retry import jittered_seconds
from image_core.stores.items import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

GETS_PER_CALL = 100
_WRITES_PER_CALL = 25
_TRIES = 8


class Batches:
    """Batches for one table. `client` is a DynamoDB client."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, sleep: Callable[[float], None], rng: random.Random
    ) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep
        self._rng = rng

    def get(self, keys: Sequence[Item]) -> Iterator[Item]:
        """Read the current items with these distinct keys, unordered. Missing ones are left out.

        Raises Unavailable if DynamoDB does not return all of them.
        """
        for start in range(0, len(keys), GETS_PER_CALL):
            left: Any = list(keys[start : start + GETS_PER_CALL])
            for tries in range(_TRIES):
                response: Any = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": left, "ConsistentRead": True}}
                )
                yield from response["Responses"].get(self._table, [])
                # 16 MB or a throttled partition: DynamoDB returns the keys that it did not read.
                left = response.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
                if not left:
                    break
                self._sleep(jittered_seconds(tries, self._rng))
            else:
                raise Unavailable

    def write(self, requests: Sequence[dict[str, Any]]) -> None:
        """Make these PutRequests and DeleteRequests, each for another key.

        Raises Unavailable if DynamoDB does not accept all of them.
        """
        for start in range(0, len(requests), _WRITES_PER_CALL):
            left: Any = list(requests[start : start + _WRITES_PER_CALL])
            for tries in range(_TRIES):
                response: Any = self._client.batch_write_item(RequestItems={self._table: left})
                left = response.get("UnprocessedItems", {}).get(self._table, [])
                if not left:
                    break
                self._sleep(jittered_seconds(tries, self._rng))
            else:
                raise Unavailable
