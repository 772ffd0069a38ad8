"""boto3 clients, each built at first use, because boto3 and its clients are slow to load at a cold start."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from image_core.settings import Settings

if TYPE_CHECKING:
    from boto3.session import Session

CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0
TRIES = 4
"""Limits of one call. If every try times out, the call ends after 4 × 5 s plus at most 7 s that botocore waits
between tries. That is within the API's 29 s and the processor's 120 s."""

EMULATOR_READ_SECONDS = 20.0
"""An emulator is slower: it serves one request at a time, on a machine with other work to do."""


class LazyClient:
    """Stands in for a boto3 client and builds it at first use.

    `build` is called only once. A lock protects it: building a boto3 client is not thread-safe, using it is.
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


def lazy_clients(settings: Settings, *, session: Session | None, connections: int) -> dict[str, Any]:
    """The clients of a function by name; `public_s3` signs URLs for callers.

    `connections` is the maximum number of parallel calls of a client.
    """
    client = partial(_client, settings=settings, session=session, connections=connections)
    clients = {
        name: LazyClient(partial(client, name)) for name in ("dynamodb", "s3", "sqs", "events", "secretsmanager")
    }
    clients["public_s3"] = clients["s3"]
    if public := settings.s3_public_endpoint_url:
        clients["public_s3"] = LazyClient(partial(client, "s3", endpoint_url=public))
    return clients


@cache
def _session() -> Any:
    import boto3  # not at the top: importing a function's modules must not import boto3

    return boto3.session.Session()


def _client(
    name: Any, settings: Settings, session: Session | None, connections: int, endpoint_url: str | None = None
) -> Any:
    from botocore.config import Config

    # botocore retries lost responses and throttling, with full jitter. After that, the queue delivers again.
    config = Config(
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=EMULATOR_READ_SECONDS if settings.endpoint_url else READ_SECONDS,
        max_pool_connections=connections,
    )
    if name == "s3":
        # By default boto3 presigns with SigV2, which signs neither the size nor If-None-Match, and uses the global
        # host in us-east-1. An emulator has no host name per bucket.
        addressing: Any = {
            "addressing_style": "path" if settings.endpoint_url else "virtual",
            "us_east_1_regional_endpoint": "regional",
        }
        config = config.merge(Config(signature_version="s3v4", s3=addressing))
    return (session or _session()).client(name, config=config, endpoint_url=endpoint_url or settings.endpoint_url)
