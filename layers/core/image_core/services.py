"""The dependencies of a function: settings, clock and stores, connected once per process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from image_core.clock import Clock
from image_core.settings import Settings, settings
from image_core.stores.clients import LazyClient, lazy_clients
from image_core.stores.events import EventBus
from image_core.stores.images import Records
from image_core.stores.objects import Storage
from image_core.stores.queue import Queue
from image_core.telemetry import request_id

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Services:
    """The dependencies of all code that is not pure. Tests build their own."""

    settings: Settings
    records: Records
    storage: Storage
    queue: Queue
    events: EventBus
    secrets: SecretsManagerClient
    """Where the API key is stored. Only the API of a stack with a key uses it."""
    clock: Clock
    clients: Mapping[str, LazyClient] = field(default_factory=dict)

    def prepare(self, *names: str) -> None:
        """Build the clients of these services (`dynamodb`, `s3`, …) now, before a request waits for them."""
        for name in names:
            self.clients[name].get()


@cache
def services() -> Services:
    """The services of this process, configured by its environment."""
    return connect(settings())


def connect(configured: Settings, *, session: Session | None = None, connections: int = 10) -> Services:
    """Services for these settings. No client is built yet. `connections` limits parallel calls per client."""
    clock = Clock()
    clients = lazy_clients(configured, session=session, connections=connections)
    return Services(
        settings=configured,
        records=Records(
            clients["dynamodb"],
            images_table=configured.images_table,
            stats_table=configured.stats_table,
            stats_shards=configured.stats_shards,
            clock=clock,
            request_id=request_id,
        ),
        storage=Storage(
            clients["s3"],
            uploads_bucket=configured.uploads_bucket,
            thumbnails_bucket=configured.thumbnails_bucket,
            public_client=clients["public_s3"],
            account_id=configured.account_id,
        ),
        queue=Queue(clients["sqs"], configured.queue_url),
        events=EventBus(clients["events"], configured.event_bus_name),
        secrets=clients["secretsmanager"],
        clock=clock,
        clients=clients,
    )
