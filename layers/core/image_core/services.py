"""What a function works with: the settings and the three stores, connected once per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from image_core.clock import Clock
from image_core.settings import Settings, settings
from image_core.stores.images import Records
from image_core.stores.objects import Storage
from image_core.stores.queue import Queue
from image_core.telemetry import request_id

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_secretsmanager import SecretsManagerClient


class ClientAtFirstUse:
    """Stands for a client of boto3 and builds it when it is first used: boto3 and a client cost a cold start dear.

    `build` is called once, by one thread at a time: building is not thread-safe in boto3, using is.
    """

    _building = Lock()

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._client: Any = None

    def get(self) -> Any:
        """The client itself."""
        if self._client is None:
            with self._building:
                self._client = self._client or self._build()
        return self._client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.get(), name)


@dataclass(frozen=True)
class Services:
    """Dependencies of everything that is not pure; tests build their own."""

    settings: Settings
    records: Records
    storage: Storage
    queue: Queue
    secrets: SecretsManagerClient
    """Where the API key is stored; only the API of a stack with a key uses it."""
    clock: Clock
    clients: Mapping[str, ClientAtFirstUse] = field(default_factory=dict)

    def prepare(self, *names: str) -> None:
        """Build these clients (`dynamodb`, `s3`, `sqs`, `secretsmanager`) now, before a request waits for them."""
        for name in names:
            self.clients[name].get()


@cache
def services() -> Services:
    """The services of this process, as its environment describes them."""
    return connect(settings())


CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0
TRIES = 4
"""What a call may take. At its worst, every try running into its time-outs, it ends after 4 × 5 s and the 7 s that
botocore waits between tries at most: within the API's 29 s, and the processor's 120."""

_CLIENTS = ("dynamodb", "s3", "sqs", "secretsmanager")

EMULATOR_READ_SECONDS = 20.0
"""An emulator serves one request after the other, and on a machine that has other work to do."""


def connect(configured: Settings, *, session: Session | None = None, connections: int = 10) -> Services:
    """Nothing is built or called yet. `connections`: how many calls of a client may run at a time."""
    clock = Clock()
    client = partial(_client, configured=configured, session=session, connections=connections)
    clients = {name: ClientAtFirstUse(partial(client, name)) for name in _CLIENTS}
    dynamodb, s3, sqs, secrets = (cast("Any", clients[name]) for name in _CLIENTS)
    signer = s3
    if public := configured.s3_public_endpoint_url:
        signer = cast("Any", ClientAtFirstUse(partial(client, "s3", endpoint_url=public)))
    return Services(
        settings=configured,
        records=Records(
            dynamodb,
            images_table=configured.images_table,
            stats_table=configured.stats_table,
            stats_shards=configured.stats_shards,
            clock=clock,
            request_id=request_id,
        ),
        storage=Storage(
            s3,
            uploads_bucket=configured.uploads_bucket,
            thumbnails_bucket=configured.thumbnails_bucket,
            public_client=signer,
        ),
        queue=Queue(sqs, configured.queue_url),
        secrets=secrets,
        clock=clock,
        clients=clients,
    )


@cache
def _session() -> Any:
    import boto3  # here, so that importing a function's modules does not cost what boto3 costs

    return boto3.session.Session()


def _client(
    name: Any, configured: Settings, session: Session | None, connections: int, endpoint_url: str | None = None
) -> Any:
    from botocore.config import Config

    # Lost replies and throttling are retried by botocore, with full jitter; what that leaves, the queue redelivers.
    config = Config(
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=EMULATOR_READ_SECONDS if configured.aws_endpoint_url else READ_SECONDS,
        max_pool_connections=connections,
    )
    if name == "s3":
        # boto3 presigns with SigV2 on the global host by default: size and If-None-Match would go unsigned. Virtual
        # addressing brings the regional host; an emulator has no host name for each bucket.
        addressing: Any = "path" if configured.aws_endpoint_url else "virtual"
        config = config.merge(Config(signature_version="s3v4", s3={"addressing_style": addressing}))
    return (session or _session()).client(
        name, config=config, endpoint_url=endpoint_url or configured.aws_endpoint_url
    )
