"""AWS for the functional tests: moto's server or MiniStack, on it a stack for each test, as in template.yaml."""

from __future__ import annotations

import json
import os
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from image_core.clock import Clock
from image_core.model import Record
from image_core.services import Services
from image_core.settings import Settings
from image_core.stores.events import EventBus
from image_core.stores.images import Records
from image_core.stores.objects import Storage
from image_core.stores.queue import Queue
from local.aws import application
from local.deploy import table_arguments
from local.template import read_template
from tests.iam import calls
from tests.iam.resolved import resolved
from tests.ministack import ministack
from tests.recount import recount
from tests.running_stack import until

REGION = "eu-west-1"
EMULATOR = os.environ.get("EMULATOR") or "moto"
# One try: a fault that a test causes is to be seen, not waited for. As in image_core.services otherwise.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 1})
_S3_CONFIG = _CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "path"}))


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """pytest shows what goes wrong."""


def served(*, every_service: bool = False) -> AbstractContextManager[str]:
    """The emulator that $EMULATOR names, on a free port; its URL. moto always has every service."""
    return ministack(every_service=every_service) if EMULATOR == "ministack" else moto()


@contextmanager
def moto() -> Iterator[str]:
    """moto on a free port, one request at a time (its transactions are not thread-safe); its URL."""
    server = make_server(
        "127.0.0.1", 0, application(create_backend_app), threaded=True, request_handler=_QuietHandler
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


class Clients:
    """Plain clients of one endpoint; building them costs more than most tests."""

    def __init__(self, url: str) -> None:
        session = boto3.Session(region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
        self.url = url
        self.s3: Any = session.client("s3", endpoint_url=url, config=_S3_CONFIG)
        self.dynamodb: Any = session.client("dynamodb", endpoint_url=url, config=_CONFIG)
        self.sqs: Any = session.client("sqs", endpoint_url=url, config=_CONFIG)
        self.secretsmanager: Any = session.client("secretsmanager", endpoint_url=url, config=_CONFIG)
        self.events: Any = session.client("events", endpoint_url=url, config=_CONFIG)
        self.dynamodbstreams: Any = session.client("dynamodbstreams", endpoint_url=url, config=_CONFIG)


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_ms = 1_795_168_800_000  # 2026-11-20T10:00:00Z
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)


Call = Callable[..., Any]
Act = Callable[[Call, dict[str, Any]], Any]
"""What happens instead of a call: it is given the real one and its arguments."""


class Client:
    """A real client behind a thin layer: it notes the calls, and does what a test has planned for the next ones.

    What a function calls must be allowed by its role in template.yaml, or is refused as IAM would refuse it;
    `arns` are the template's resources by the names that they have here.
    """

    def __init__(self, client: Any, arns: dict[str, str]) -> None:
        self._client = client
        self._service: str = client.meta.service_model.service_name
        self._arns = arns
        self._planned: dict[str, list[Act]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def plan(self, operation: str, *acts: Act) -> None:
        """The next calls of `operation`, one act each; after them it works as always."""
        self._planned.setdefault(operation, []).extend(acts)

    def arguments(self, operation: str) -> list[dict[str, Any]]:
        """Those of the calls of `operation` so far."""
        return [arguments for name, arguments in self.calls if name == operation]

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._client, name)
        if not callable(target) or name == "exceptions":
            return target

        def call(**arguments: Any) -> Any:
            calls.enforce(self._service, name, arguments, self._arns)
            self.calls.append((name, arguments))
            planned = self._planned.get(name)
            return planned.pop(0)(target, arguments) if planned else target(**arguments)

        def paginator(operation: str) -> Any:
            pages = target(operation)
            return _Paginator(lambda **arguments: self._paginated(operation, pages, arguments))

        def presigned(operation: str, **arguments: Any) -> Any:
            # Whoever uses the URL acts with the rights of the role that signed it.
            calls.enforce(self._service, operation, arguments["Params"], self._arns)
            return target(operation, **arguments)

        return {"get_paginator": paginator, "generate_presigned_url": presigned}.get(name, call)

    def _paginated(self, operation: str, pages: Any, arguments: dict[str, Any]) -> Any:
        calls.enforce(self._service, operation, arguments, self._arns)
        return pages.paginate(**arguments)


@dataclass(frozen=True)
class _Paginator:
    paginate: Callable[..., Any]


def done(call: Call, arguments: dict[str, Any]) -> Any:
    """Nothing special."""
    return call(**arguments)


def repeated(call: Call, arguments: dict[str, Any]) -> Any:
    """The reply is lost and the call made again, as botocore's retries do."""
    call(**arguments)
    return call(**arguments)


class Killed(BaseException):
    """The end of a worker's process, as far as its code can see: nothing of it runs any more."""


def killed(_: Call, __: dict[str, Any]) -> Any:
    """The worker is killed before its call goes out."""
    raise Killed


def raising(error: Exception) -> Act:
    """The call fails; nothing is done."""

    def fail(_: Call, __: dict[str, Any]) -> Any:
        raise error

    return fail


def done_but_raising(error: Exception) -> Act:
    """The call is carried out, and its reply lost for good."""

    def lose(call: Call, arguments: dict[str, Any]) -> Any:
        call(**arguments)
        raise error

    return lose


def preceded_by(action: Callable[[], object]) -> Act:
    """Somebody else is faster."""

    def act(call: Call, arguments: dict[str, Any]) -> Any:
        action()
        return call(**arguments)

    return act


def followed_by(action: Callable[[], object]) -> Act:
    """Something else happens before the reply is read."""

    def act(call: Call, arguments: dict[str, Any]) -> Any:
        reply = call(**arguments)
        action()
        return reply

    return act


class Stack:
    """Buckets, tables and queues of one test, the services on them, and what a test wants to see of them."""

    def __init__(
        self,
        clients: Clients,
        *,
        tables_alone: bool = False,
        versioned: bool = True,
        streams: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        arns: dict[str, str] = {}
        self.s3, self.dynamodb, self.sqs = (Client(c, arns) for c in (clients.s3, clients.dynamodb, clients.sqs))
        self.secrets, self.events = Client(clients.secretsmanager, arns), Client(clients.events, arns)
        self.url = clients.url
        name = f"t{uuid.uuid4().hex[:12]}"
        self.uploads_bucket, self.thumbnails_bucket = f"{name}-uploads", f"{name}-thumbnails"
        self.images_table, self.stats_table = f"{name}-images", f"{name}-stats"
        self.queue_url = "https://there.is.no.queue"
        self.event_bus = f"{name}-bus"
        self._create_tables(clients.dynamodb, streams=streams)
        if not tables_alone:
            self._create_buckets(clients.s3, versioned=versioned)
            self.queue_url = clients.sqs.create_queue(QueueName=f"{name}-queue")["QueueUrl"]
        self.api_key_secret_arn = settings.get("api_key_secret_arn", "arn:none")
        arns |= {
            physical: resolved().arn(logical_id)
            for physical, logical_id in {
                self.uploads_bucket: "UploadsBucket",
                self.thumbnails_bucket: "ThumbnailsBucket",
                self.images_table: "ImagesTable",
                self.stats_table: "StatsTable",
                self.queue_url: "Queue",
                self.api_key_secret_arn: "ApiKeySecret",
                self.event_bus: "EventBus",
            }.items()
        }
        self.settings = Settings(
            uploads_bucket=self.uploads_bucket,
            thumbnails_bucket=self.thumbnails_bucket,
            images_table=self.images_table,
            stats_table=self.stats_table,
            queue_url=self.queue_url,
            event_bus_name=self.event_bus,
            **({"stats_shards": 3, "processor_timeout_seconds": 20, "pending_timeout_seconds": 30} | settings),
        )
        self.services = self._connected(self.dynamodb, self.s3, self.sqs, seed=1)
        self.records = self.services.records
        self._plain = clients

    def _create_tables(self, dynamodb: Any, *, streams: bool) -> None:
        for table, resource_name in ((self.images_table, "ImagesTable"), (self.stats_table, "StatsTable")):
            shape = table_arguments(resource(resource_name)) if streams else table_shape(resource_name)
            dynamodb.create_table(TableName=table, **shape)

    def _create_buckets(self, s3: Any, *, versioned: bool) -> None:
        for bucket in (self.uploads_bucket, self.thumbnails_bucket):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioned:
            versioning = resource("UploadsBucket")["VersioningConfiguration"]
            s3.put_bucket_versioning(Bucket=self.uploads_bucket, VersioningConfiguration=versioning)

    def _records(self, client: Any, *, seed: int) -> Records:
        return Records(
            client,
            images_table=self.images_table,
            stats_table=self.stats_table,
            stats_shards=self.settings.stats_shards,
            clock=Clock(self.clock, self.clock.sleep),
            rng=random.Random(seed),
        )

    def _connected(self, dynamodb: Any, s3: Any, sqs: Any, *, seed: int) -> Services:
        """The services, wired as image_core.services does it."""
        return Services(
            settings=self.settings,
            records=self._records(dynamodb, seed=seed),
            storage=Storage(
                s3,
                uploads_bucket=self.uploads_bucket,
                thumbnails_bucket=self.thumbnails_bucket,
                public_client=s3,
                account_id=self.settings.account_id,
            ),
            queue=Queue(sqs, self.queue_url),
            events=EventBus(self.events, self.event_bus),
            secrets=self.secrets,  # type: ignore[arg-type]
            clock=Clock(self.clock, self.clock.sleep),
        )

    # What a test does, and what it sees: past the layer for which it may have planned something

    def put(self, key: str, body: bytes = b"bytes") -> None:
        """An object appears in the uploads bucket."""
        self._plain.s3.put_object(Bucket=self.uploads_bucket, Key=key, Body=body)

    def remove(self, key: str) -> None:
        """An object is deleted from the uploads bucket, by somebody else than the pipeline."""
        self._plain.s3.delete_object(Bucket=self.uploads_bucket, Key=key)

    def notify_the_queue(self) -> None:
        """From now on the uploads bucket tells the queue of what template.yaml says."""
        arn = self._plain.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
        wanted = resource("UploadsBucket")["NotificationConfiguration"]["QueueConfigurations"]
        self._plain.s3.put_bucket_notification_configuration(
            Bucket=self.uploads_bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {"QueueArn": arn["Attributes"]["QueueArn"], "Events": [entry["Event"]]} for entry in wanted
                ]
            },
        )

    def other_services(self) -> Services:
        """The same stack in the hands of somebody else."""
        return self._connected(self._plain.dynamodb, self._plain.s3, self._plain.sqs, seed=2)

    def other_records(self) -> Records:
        """The same records in the hands of somebody else."""
        return self._records(self._plain.dynamodb, seed=2)

    def every(self) -> list[Record]:
        return list(self.other_records().every())

    def the_record(self) -> Record:
        (record,) = self.every()
        return record

    def counts(self) -> dict[str, int]:
        """The counters of statuses that are not 0."""
        return {str(status): count for status, count in self.other_records().stats().counts.items() if count}

    def originals(self) -> set[str]:
        return self._keys(self.uploads_bucket)

    def thumbnails(self) -> set[str]:
        return self._keys(self.thumbnails_bucket)

    def _keys(self, bucket: str) -> set[str]:
        return {entry["Key"] for entry in self._plain.s3.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def messages(self) -> list[dict[str, Any]]:
        """Those that can be received now; they stay in the queue, hidden."""
        response = self._plain.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return list(response.get("Messages", []))

    def notifications(self) -> list[dict[str, Any]]:
        """All messages, once an event of the bucket is among them: S3 sends it a little later."""
        found: list[dict[str, Any]] = []

        def has_event() -> bool:
            found.extend(self.messages())
            return any("Records" in json.loads(message["Body"]) for message in found)

        until(has_event, seconds=20)
        return found

    def assert_counters_equal_a_recount(self) -> None:
        assert self.other_records().stats() == recount(self.every())


@cache
def _template() -> dict[str, Any]:
    return read_template()


def table_shape(name: str) -> dict[str, Any]:
    """How to create a table of template.yaml, without its stream: moto keeps every record."""
    arguments = table_arguments(resource(name))
    arguments.pop("StreamSpecification", None)
    return arguments


def resource(name: str) -> dict[str, Any]:
    """The properties of a resource in template.yaml."""
    properties: dict[str, Any] = _template()["Resources"][name]["Properties"]
    return properties
