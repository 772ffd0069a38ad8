"""What a function works with: the settings and the three stores, connected once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from image_core.events import Queue
from image_core.records import Records
from image_core.settings import Settings, settings
from image_core.storage import Storage

if TYPE_CHECKING:
    from boto3.session import Session


@dataclass(frozen=True)
class Services:
    """Dependencies of everything that is not pure; tests build their own."""

    settings: Settings
    records: Records
    storage: Storage
    queue: Queue


@cache
def services() -> Services:
    """The services of this process, as its environment describes them."""
    return connect(settings())


CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0
TRIES = 4
"""What a call may take. At its worst, every try running into its time-outs, it ends after 4 × 5 s and the 7 s that
botocore waits between tries at most: within the API's 29 s, and the processor's 120."""

EMULATOR_READ_SECONDS = 20.0
"""An emulator serves one request after the other, and on a machine that has other work to do."""


def connect(configured: Settings, *, session: Session | None = None, connections: int = 10) -> Services:
    """Builds the clients; nothing is called yet. `connections`: how many calls of a client may run at a time."""
    import boto3  # here, so that importing a function's modules does not cost what boto3 costs
    from botocore.config import Config

    session = session or boto3.session.Session()
    # Lost replies and throttling are retried by botocore, with full jitter; what that leaves, the queue redelivers.
    config = Config(
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=EMULATOR_READ_SECONDS if configured.aws_endpoint_url else READ_SECONDS,
        max_pool_connections=connections,
    )
    endpoint_url = configured.aws_endpoint_url
    # boto3 presigns with SigV2 on the global host by default: size and If-None-Match would go unsigned. Virtual
    # addressing brings the regional host; an emulator has no host name for each bucket.
    addressing: Any = "path" if configured.aws_endpoint_url else "virtual"
    s3_config = config.merge(Config(signature_version="s3v4", s3={"addressing_style": addressing}))
    s3 = session.client("s3", config=s3_config, endpoint_url=endpoint_url)
    signer = s3
    if configured.s3_public_endpoint_url:
        signer = session.client("s3", config=s3_config, endpoint_url=configured.s3_public_endpoint_url)
    dynamodb = session.client("dynamodb", config=config, endpoint_url=endpoint_url)
    return Services(
        settings=configured,
        records=Records(
            dynamodb,
            images_table=configured.images_table,
            stats_table=configured.stats_table,
            stats_shards=configured.stats_shards,
        ),
        storage=Storage(
            s3,
            uploads_bucket=configured.uploads_bucket,
            thumbnails_bucket=configured.thumbnails_bucket,
            public_client=signer,
        ),
        queue=Queue(session.client("sqs", config=config, endpoint_url=endpoint_url), configured.queue_url),
    )
