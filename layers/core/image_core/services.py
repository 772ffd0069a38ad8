"""What a function works with: the settings and the three stores, connected once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from image_core.events import Queue
from image_core.records import Records
from image_core.settings import Settings, settings
from image_core.storage import Storage


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


def connect(configured: Settings) -> Services:
    """Builds the clients; nothing is called yet."""
    import boto3  # here, so that importing a function's modules does not cost what boto3 costs
    from botocore.config import Config

    session = boto3.session.Session()
    # Lost replies and throttling are retried by botocore; what that leaves, the queue redelivers.
    config = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=3, read_timeout=20)
    # boto3 presigns with SigV2 on the global host by default: size and If-None-Match would go unsigned. Virtual
    # addressing brings the regional host; an emulator has no host name for each bucket.
    addressing: Any = "path" if configured.aws_endpoint_url else "virtual"
    s3_config = config.merge(Config(signature_version="s3v4", s3={"addressing_style": addressing}))
    s3 = session.client("s3", config=s3_config)
    signer = s3
    if configured.s3_public_endpoint_url:
        signer = session.client("s3", config=s3_config, endpoint_url=configured.s3_public_endpoint_url)
    dynamodb = session.client("dynamodb", config=config)
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
        queue=Queue(session.client("sqs", config=config), configured.queue_url),
    )
