"""The stream of the images table, Lambda's poller of it, and the event bus to which the stream function sends."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation.expressions import Attributes
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

SHARDS = 2
BATCH_SIZE = 15
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 60


class FakeEvents:
    """EventBridge's bus: it keeps the events that it accepted."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.accepted: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.accepted += Entries
        return {"FailedEntryCount": 0, "Entries": [{"EventId": f"e{next(self._numbers)}"} for _ in Entries]}


@dataclass
class _Shard:
    """Changes in order, and the position of the reader. `attempt` is the number of the current invocation."""

    records: list[dict[str, Any]] = field(default_factory=list)
    visible_at: list[float] = field(default_factory=list)
    done: int = 0
    batch_size: int = BATCH_SIZE
    attempt: int | None = None


class StreamSource:
    """Delivers every change in order. A failure is retried from the first failed change, in smaller batches.

    The changes of an image are in one shard. A function that has not responded before its timeout has failed, even
    if it continues later.
    """

    def __init__(self, stack: Stack, function: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._stack = stack
        self._function = function
        self._shards = [_Shard() for _ in range(SHARDS)]
        self._attempts = itertools.count(1)

    @property
    def is_done(self) -> bool:
        return all(shard.done == len(shard.records) for shard in self._shards)

    def add(self, old: Attributes | None, new: Attributes | None) -> None:
        """Add the change of a record."""
        world, image_id = self._stack.world, (new or old or {})["image_id"]
        shard = self._shards[zlib.crc32(image_id["S"].encode()) % SHARDS]
        images = {name: item for name, item in (("OldImage", old), ("NewImage", new)) if item is not None}
        shard.records.append(
            {
                "eventName": "REMOVE" if new is None else "INSERT" if old is None else "MODIFY",
                "eventSource": "aws:dynamodb",
                "dynamodb": {
                    "ApproximateCreationDateTime": float(int(world.now)),
                    "Keys": {"image_id": image_id},
                    "SequenceNumber": str(len(shard.records)),
                    **images,
                },
            }
        )
        earlier = shard.visible_at[-1] if shard.visible_at else 0
        shard.visible_at.append(max(earlier, world.now + self._stack.conditions.stream_delay()))
        world.at(shard.visible_at[-1] - world.now + 0.05, lambda: self._poll(shard))

    def _poll(self, shard: _Shard) -> None:
        stack = self._stack
        if shard.attempt is not None:
            return
        visible = sum(time <= stack.world.now for time in shard.visible_at[shard.done :][: shard.batch_size])
        batch = [record for record in shard.records[shard.done :][:visible] if _passes(record)]
        if not batch:
            shard.done += visible
            if visible:
                self._poll(shard)
            return
        stack.counts["batches of changes"] = stack.counts.get("batches of changes", 0) + 1
        shard.attempt = attempt = next(self._attempts)
        process = Process(f"stream-{attempt}")
        stack.kill_after(TIMEOUT_SECONDS, process)
        stack.world.at(TIMEOUT_SECONDS, lambda: self._end(shard, attempt, visible, None))
        stack.world.start(process.name, lambda: self._invoke(shard, attempt, visible, batch), process)

    def _invoke(self, shard: _Shard, attempt: int, size: int, batch: list[dict[str, Any]]) -> None:
        response = None
        try:
            response = self._function({"Records": batch})
        except Exception as error:
            self._stack.network.note(f"stream-{attempt}", f"ends with {error!r}")
        finally:
            self._end(shard, attempt, size, response)

    def _end(self, shard: _Shard, attempt: int, size: int, response: dict[str, Any] | None) -> None:
        """Handle the end of an invocation. `response` is None if the function raised or timed out."""
        if shard.attempt != attempt:
            return
        shard.attempt = None
        failures = ["0"] if response is None else [one["itemIdentifier"] for one in response["batchItemFailures"]]
        first_failed = min((int(number) for number in failures), default=shard.done + size)
        done = max(shard.done, first_failed)
        failed = done < shard.done + size
        if not failed and self._stack.conditions.again():
            done = shard.done  # the poller dies before it stores its position
        shard.batch_size = max(1, size // 2) if failed else BATCH_SIZE
        shard.done = done
        self._stack.network.note(f"stream-{attempt}", "ends", "comes back" if failed else "")
        self._stack.world.at(RETRY_SECONDS if failed else 0.05, lambda: self._poll(shard))


def _passes(record: dict[str, Any]) -> bool:
    """Apply the filter of the event source mapping in template.yaml."""
    old, new = (record["dynamodb"].get(name) for name in ("OldImage", "NewImage"))
    if new is None or new["status"]["S"] in ("success", "failed", "deleting"):
        return True
    return old is not None and "processed_ms" in old
