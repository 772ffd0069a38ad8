"""The dependencies of a function: settings, clock and stores, connected once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from image_core.clock import Clock
from image_core.settings import Settings, settings
from image_core.stores.clients import LazyClient, lazy_clients
from image_core.stores.events import EventBus
from image_core.stores.images import Records
from image_core.stores.objects import Storage
from image_core.stores.queue import Queue
from image_core.stores.search import SearchIndex
from image_core.telemetry import request_id

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_secretsmanager import SecretsManagerClient


SEARCH_THREADS = 8
"""Words of a query that are read at the same time."""


@dataclass(frozen=True)
class Services:
    """The dependencies of all code that is not pure. Tests build their own."""

    settings: Settings
    records: Records
    storage: Storage
    queue: Queue
    events: EventBus
    search: SearchIndex
    secrets: SecretsManagerClient
    """Where the API key is stored. Only the API of a stack with a key uses it."""
    clock: Clock
    clients: Mapping[str, LazyClient] = field(default_factory=dict)

    def prepare(self, *names: str) -> None:
        """Build the clients of these services (`dynamodb`, `s3`, …) now, before a request waits for them."""
        for name in names:
            self.clients[name].get()


def _in_threads(work: Callable[[str], Any], values: Iterable[str]) -> Iterable[Any]:
    return _threads().map(work, values)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SEARCH_THREADS, "search")


@cache
def services() -> Services:
    """The services of this process, configured by its environment."""
    return connect(settings())


def connect(configured: Settings, *, session: Session | None = None, connections: int = 10) -> Services:
    """Services for these settings. No client is built yet. `connections` limits parallel calls per client."""
    clock = Clock()
    clients = lazy_clients(configured, session=session, connections=connections)
    records = Records(
        clients["dynamodb"],
        images_table=configured.images_table,
        stats_table=configured.stats_table,
        stats_shards=configured.stats_shards,
        clock=clock,
        request_id=request_id,
    )
    return Services(
        settings=configured,
        records=records,
        storage=Storage(
            clients["s3"],
            uploads_bucket=configured.uploads_bucket,
            thumbnails_bucket=configured.thumbnails_bucket,
            public_client=clients["public_s3"],
            account_id=configured.account_id,
        ),
        queue=Queue(clients["sqs"], configured.queue_url),
        events=EventBus(clients["events"], configured.event_bus_name),
        search=SearchIndex(
            clients["dynamodb"],
            configured.search_table,
            records=records,
            parallel=_in_threads,
        ),
        secrets=clients["secretsmanager"],
        clock=clock,
        clients=clients,
    )
