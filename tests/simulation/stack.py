"""The complete pipeline in virtual time: fakes for the services and for Lambda; all else is the real code."""

from __future__ import annotations

import itertools
import json
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from botocore.exceptions import BotoCoreError, ClientError
from ulid import ULID

from image_core.clock import Clock
from image_core.errors import Busy, Superseded, Unavailable
from image_core.services import Services
from image_core.settings import Settings
from image_core.stores.events import EventBus, NotSent
from image_core.stores.images import Records
from image_core.stores.objects import Storage
from image_core.stores.queue import Queue
from image_core.stores.search import SearchIndex
from image_processor.handler import Processor
from image_recovery.handler import handle
from image_stream.handler import handle as handle_changes
from tests.functional.emulator import resource
from tests.simulation import api
from tests.simulation.bodies import SIZES
from tests.simulation.dynamodb import FakeDynamoDB
from tests.simulation.lambdas import Captioner, Context, EventSource, notification
from tests.simulation.network import Call, Client, Fault, Network
from tests.simulation.s3 import Bucket, FakeS3, Version
from tests.simulation.sqs import FakeQueue, FakeSQS
from tests.simulation.stream import FakeEvents, StreamSource
from tests.simulation.world import Killed, Process, World, WorldExecutor

UPLOADS, THUMBNAILS, IMAGES, STATS = "sim-uploads", "sim-thumbnails", "sim-images", "sim-stats"
SEARCH = "sim-search"
QUEUE, DEAD_LETTERS = "https://sqs.invalid/queue", "https://sqs.invalid/dead-letters"
API_TIMEOUT_SECONDS = 29
RECOVERY_TIMEOUT_SECONDS = 60

Number = Callable[[], float]


@dataclass
class Conditions:
    """The behavior of the environment; all times in seconds. The defaults have no faults."""

    faults: Callable[[Call], Fault | None] = lambda _: None
    latency: Number = lambda: 0.02
    pause: Number = lambda: 45.0
    event_delays: Callable[[], list[float]] = lambda: [0.1]
    """One notification for each delay. An empty list means that the notification is lost."""
    stream_delay: Number = lambda: 0.1
    index_lag: Number = lambda: 0.05
    hold: Number = lambda: 0.01
    caption_seconds: Number = lambda: 0.5
    caption_fault: Callable[[], Exception | None] = lambda: None
    again: Callable[[], bool] = lambda: False
    """Whether the queue or the stream forgets that something was handled and delivers it again."""
    page: Callable[[], int] = lambda: 1000
    unprocessed: Callable[[], bool] = lambda: False
    trailing: Callable[[], bool] = lambda: False
    visibility_seconds: float = 60
    concurrency: int = 3
    sweep_every: float = 30
    max_attempts: int = 5


class Stack:
    """A world that contains the complete pipeline."""

    def __init__(self, seed: int, conditions: Conditions) -> None:
        self.world = world = World(seed)
        self.conditions = conditions
        self.network = Network(
            world,
            faults=lambda call: self.conditions.faults(call),
            latency=lambda: self.conditions.latency(),
            pause=lambda: self.conditions.pause(),
        )
        self.s3 = FakeS3(lambda: world.now, page=lambda: self.conditions.page())
        self.s3.buckets = {UPLOADS: Bucket(versioned=True), THUMBNAILS: Bucket(versioned=False)}
        self.s3.notify = self._notify
        self.sqs = FakeSQS(lambda: world.now)
        self.sqs.queues = {
            QUEUE: FakeQueue(conditions.visibility_seconds, conditions.max_attempts, DEAD_LETTERS),
            DEAD_LETTERS: FakeQueue(conditions.visibility_seconds),
        }
        self.dynamodb = FakeDynamoDB(
            {IMAGES: resource("ImagesTable"), STATS: resource("StatsTable"), SEARCH: resource("SearchTable")},
            page=lambda: self.conditions.page(),
        )
        self.dynamodb.later = world.at
        self.dynamodb.lag = lambda: self.conditions.index_lag()
        self.dynamodb.hold = lambda: self.conditions.hold()
        self.dynamodb.mix = world.rng.shuffle
        self.dynamodb.unprocessed = lambda: self.conditions.unprocessed()
        self.dynamodb.trailing = lambda: self.conditions.trailing()
        self.events = FakeEvents()
        self.settings = Settings(
            uploads_bucket=UPLOADS,
            thumbnails_bucket=THUMBNAILS,
            images_table=IMAGES,
            stats_table=STATS,
            search_table=SEARCH,
            queue_url=QUEUE,
            stats_shards=3,
            thumbnails=SIZES,
            processor_timeout_seconds=20,
            pending_timeout_seconds=60,
            upload_url_seconds=60,
            max_attempts=conditions.max_attempts,
        )
        self.services = self._connected(seed)
        self._model_version = 0
        self._caption_numbers = itertools.count(1)
        self.deploy_model()
        self.recipes: dict[str, str] = {}
        """The recipe of each worker's model, by the name of its process."""
        self.counts = {"notifications": 0, "lost notifications": 0, "invocations": 0, "requests": 0, "sweeps": 0}
        self.urls: dict[str, str] = {}
        """The URL of each API request, by the name of its process."""
        self.hold_events: Callable[[dict[str, Any]], object] | None = None
        """Receives notifications instead of the queue, if a scenario chooses their order."""
        self._sources = {
            QUEUE: EventSource(
                self,
                QUEUE,
                conditions.concurrency,
                1,
                self.settings.processor_timeout_seconds,
                "worker",
                self._process,
            ),
            DEAD_LETTERS: EventSource(
                self, DEAD_LETTERS, 2, 10, RECOVERY_TIMEOUT_SECONDS, "recovery", self._recover
            ),
        }
        self.stream = StreamSource(self, lambda event: handle_changes(event, self.services))
        self.dynamodb.on_change = lambda table, old, new: self.stream.add(old, new) if table == IMAGES else None
        self.sqs.on_visible = lambda url, time: self._sources[url].expect(time)

    def _connected(self, seed: int) -> Services:
        """Build the services as image_core.services does."""
        s3: Any = Client(self.network, "s3", self.s3)
        dynamodb: Any = Client(self.network, "dynamodb", self.dynamodb)
        sqs: Any = Client(self.network, "sqs", self.sqs)
        events: Any = Client(self.network, "events", self.events)
        clock = Clock(self.world.now_ms, self.world.sleep)
        records = Records(
            dynamodb,
            images_table=IMAGES,
            stats_table=STATS,
            stats_shards=self.settings.stats_shards,
            clock=clock,
            rng=random.Random(seed),
        )
        return Services(
            settings=self.settings,
            records=records,
            storage=Storage(s3, uploads_bucket=UPLOADS, thumbnails_bucket=THUMBNAILS, public_client=s3),
            queue=Queue(sqs, QUEUE),
            events=EventBus(events, "bus"),
            search=SearchIndex(dynamodb, SEARCH, records=records, sleep=clock.sleep, rng=random.Random(seed)),
            secrets=None,  # the stack has no API key
            clock=clock,
        )

    # The functions

    def deploy_model(self) -> None:
        """Deploy a new caption model, which workers use that start from now on."""
        self._model_version += 1
        captioner = Captioner(self, self._model_version, self._caption_numbers)
        self._captioner = captioner
        self.processor = Processor(self.services, lambda _: captioner, executor=WorldExecutor(self.world))

    def _process(self, event: dict[str, Any]) -> dict[str, Any]:
        self.recipes[self.world.current.process.name] = self._captioner.recipe
        return self.processor(event)

    def _recover(self, event: dict[str, Any]) -> dict[str, Any]:
        context: Any = Context(self.world, RECOVERY_TIMEOUT_SECONDS)
        return handle(event, context, self.services)

    def sweep(self) -> None:
        """Run the scheduled sweep."""
        self.counts["sweeps"] += 1
        name = f"sweep-{self.counts['sweeps']}"
        process = Process(name)
        self.kill_after(RECOVERY_TIMEOUT_SECONDS, process)

        def run() -> None:
            try:
                self._recover({})
            except Exception as fault:
                # The next scheduled sweep tries again. Errors are in the log, which is checked.
                self.network.note(name, f"ends with {fault!r}")

        self.world.start(name, run, process)

    def kill_after(self, seconds: float, process: Process) -> None:
        """Kill the process after Lambda's timeout. A frozen process is not killed and continues after it."""

        def end() -> None:
            if process.alive and process.actors and not process.frozen:
                self.network.injected["killed by its timeout"] += 1
                self.world.kill(process)

        self.world.at(seconds, end)

    def request(self, caller: str, method: str, url: str, **rest: Any) -> api.Response | None:
        """Make a request from the current thread, in a new process. Return None if there is no response."""
        world, actor = self.world, self.world.current
        self.counts["requests"] += 1
        process, outer = Process(f"{caller} api-{self.counts['requests']}"), actor.process
        process.actors.append(actor)
        self.urls[process.name] = url
        # Lambda's timeout. It also ends a frozen process, which must not outlive a deadline.
        world.at(API_TIMEOUT_SECONDS, lambda: world.kill(process))
        name, actor.process, actor.name = actor.name, process, process.name
        try:
            response = api.request(self.services, method, url, **rest)
            self.network.note(process.name, f"{method} {url}", str(response.status))
            return response
        except Killed:
            self.network.note(process.name, f"{method} {url}", "no response")
            return None
        finally:
            process.alive = False
            actor.process, actor.name = outer, name

    # Notifications

    def _notify(self, bucket: str, event: str, key: str, version: Version) -> None:
        if bucket != UPLOADS:
            return
        if self.hold_events is not None:
            self.hold_events(notification(bucket, event, key, version))
            return
        delays = self.conditions.event_delays()
        self.counts["notifications"] += len(delays)
        self.counts["lost notifications"] += not delays
        self.network.note("s3", f"{event} {key} {version.version_id}", "lost" if not delays else f"× {len(delays)}")
        body = json.dumps(notification(bucket, event, key, version))
        for delay in delays:
            self.world.at(delay, lambda: self.sqs.send_message(QueueUrl=QUEUE, MessageBody=body))

    def idle(self) -> bool:
        """Return whether no message or change is in flight and no function is running."""
        return (
            not any(queue.messages for queue in self.sqs.queues.values())
            and not any(source.running for source in self._sources.values())
            and self.stream.is_done
        )


# Errors that the log may contain. Any other error is a bug in the code, which an `except Exception` would hide.
LOGGERS = ("image_core", "image_api", "image_processor", "image_recovery", "image_stream", "ops")
EXPECTED = (ClientError, BotoCoreError, Busy, Superseded, Unavailable, NotSent, MemoryError)


class _Log(logging.Handler):
    def __init__(self, stack: Stack) -> None:
        super().__init__(logging.WARNING)
        self._stack = stack

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not _expected(error):
            self._stack.world.report(f"unexpected error in {self._stack.world.current.name}: {error!r}")


def _expected(error: BaseException) -> bool:
    if isinstance(error, ExceptionGroup):
        return all(map(_expected, error.exceptions))
    return isinstance(error, EXPECTED) or "S3 kept" in str(error) or "simulated" in str(error)


@contextmanager
def simulated(stack: Stack) -> Iterator[None]:
    """Make randomness follow the seed and threads follow the world, and check the log. Ends all threads."""
    rng = random.Random(stack.world.rng.random())
    log = _Log(stack)

    def new_image_id() -> str:
        milliseconds = stack.world.now_ms().to_bytes(6, "big")
        return f"img_{str(ULID.from_bytes(milliseconds + rng.randbytes(10))).lower()}"

    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(log)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    try:
        with (
            patch("image_api.idempotency.new_image_id", new_image_id),
            patch("image_core.stores.images.secrets.token_hex", lambda size: rng.randbytes(size).hex()),
        ):
            yield
            stack.world.close()
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(log)
            logger.setLevel(level)
            logger.propagate = propagate
