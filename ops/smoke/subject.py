"""The stack that a smoke test runs against: the local one, a deployed one, or an API by its URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from image_core.services import Services
from image_core.stores.objects import Storage
from ops.redrive import dead_letter_queue
from ops.smoke.journey import Subject, WebhooksLeft
from ops.target import NoSuchStack, Target


def subject_of(target: Target) -> Subject:
    """Return the stack of a target, with its buckets, records and API key. Raises `NoSuchStack` if it has no
    API."""
    if target.api_url is None:
        raise NoSuchStack(f"{target.name} does not say where its API is. Restart or deploy it, or use --api URL.")
    settings = target.settings
    services = target.connect(workers=1)
    key = None
    if settings.api_key_secret_arn:
        key = services.secrets.get_secret_value(SecretId=settings.api_key_secret_arn)["SecretString"]
    is_aws = settings.endpoint_url is None
    region = target.session.region_name
    secrets = {settings.uploads_bucket: "(uploads bucket)", settings.thumbnails_bucket: "(thumbnails bucket)"}
    return Subject(
        kind=f"deployed in {region}" if is_aws else "on an emulator",
        api_url=target.api_url,
        key=key,
        storage=services.storage,
        has_thumbnails_bucket=True,
        records=services.records,
        thumbnails={name: one.side for name, one in settings.thumbnails.items()},
        cors_origins=settings.cors_origins,
        webhooks=_webhooks_of(services, settings.webhook_queue_url),
        is_aws=is_aws,
        secrets=_hidden(secrets, key, settings.account_id),
    )


def _webhooks_of(services: Services, queue_url: str | None) -> Callable[[], WebhooksLeft] | None:
    if queue_url is None:
        return None
    sqs = services.clients["sqs"].get()
    letters_url = dead_letter_queue(sqs, queue_url)
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def count(url: str) -> int:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    return lambda: WebhooksLeft(count(queue_url), count(letters_url))


def subject_at(
    api_url: str,
    *,
    key: str | None,
    bucket: str | None = None,
    thumbnails_bucket: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
) -> Subject:
    """Return an API by its URL. With `bucket`, it includes its uploads bucket; boto3 finds the credentials."""
    storage = None
    secrets = {}
    if bucket is not None:
        session = boto3.Session(region_name=region, profile_name=profile)
        addressing = Config(
            s3={"addressing_style": "path" if endpoint_url else "virtual"}, signature_version="s3v4"
        )
        client = session.client("s3", endpoint_url=endpoint_url, config=addressing)
        storage = Storage(
            client, uploads_bucket=bucket, thumbnails_bucket=thumbnails_bucket or "", public_client=client
        )
        secrets[bucket] = "(uploads bucket)"
    if thumbnails_bucket is not None:
        secrets[thumbnails_bucket] = "(thumbnails bucket)"
    return Subject(
        kind="an API by its URL",
        api_url=api_url.rstrip("/"),
        key=key,
        storage=storage,
        has_thumbnails_bucket=thumbnails_bucket is not None,
        is_aws=endpoint_url is None and ".amazonaws.com" in api_url,
        secrets=_hidden(secrets, key, None),
    )


def _hidden(secrets: dict[str, str], key: str | None, account: str | None) -> dict[str, str]:
    if key:
        secrets = secrets | {key: "(key)"}
    return secrets | {account: "(account)"} if account else secrets
