"""AWS for the functional tests: moto or MiniStack, with a separate stack from template.yaml for each test."""

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
from image_core.stores.search import SearchIndex
from image_core.stores.search_items import Key, dictionary_of, entries_of
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
# A single try, so that a test sees the errors that it injects without waiting for retries. Otherwise as in
# image_core.services.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 1})
_S3_CONFIG = _CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "path"}))


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log no requests: pytest shows what goes wrong."""


def served(*, every_service: bool = False) -> AbstractContextManager[str]:
    """Run the emulator that $EMULATOR names on a free port and return its URL. moto always has every service."""
    return ministack(every_service=every_service) if EMULATOR == "ministack" else moto()


@contextmanager
def moto() -> Iterator[str]:
    """Run moto on a free port and return its URL.

    It serves one request at a time: its transactions are not thread-safe.
    """
    server = make_server(
        "127.0.0.1", 0, application(create_backend_app), threaded=True, request_handler=_QuietHandler
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


class Clients:
    """Unmodified clients of one endpoint, shared by all tests: creating them takes longer than most tests."""

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
    """A clock that moves only when a test moves it."""

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
"""What a test runs instead of a call. It receives the real method and its arguments."""


class Client:
    """A wrapper around a real client. It records the calls, and replaces the next ones if a test planned that.

    It rejects a call that the function's role in template.yaml does not allow, as IAM would.
    `arns` maps the names in the emulator to the template's resources.
    """

    def __init__(self, client: Any, arns: dict[str, str]) -> None:
        self._client = client
        self._service: str = client.meta.service_model.service_name
        self._arns = arns
        self._planned: dict[str, list[Act]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def plan(self, operation: str, *acts: Act) -> None:
        """Replace the next calls of `operation`, one for each act. Later calls are normal again."""
        self._planned.setdefault(operation, []).extend(acts)

    def arguments(self, operation: str) -> list[dict[str, Any]]:
        """Return the arguments of all calls of `operation` so far."""
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
            # A presigned URL has the permissions of the role that signed it.
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
    """Make the call as usual."""
    return call(**arguments)


def repeated(call: Call, arguments: dict[str, Any]) -> Any:
    """Make the call twice, as if the first reply was lost and botocore retried."""
    call(**arguments)
    return call(**arguments)


class Killed(BaseException):
    """A worker's process is killed: none of its code runs after this."""


def killed(_: Call, __: dict[str, Any]) -> Any:
    """Kill the worker before its call is sent."""
    raise Killed


def raising(error: Exception) -> Act:
    """Raise `error` instead of making the call."""

    def fail(_: Call, __: dict[str, Any]) -> Any:
        raise error

    return fail


def done_but_raising(error: Exception) -> Act:
    """Make the call, but lose its reply: `error` is raised instead."""

    def lose(call: Call, arguments: dict[str, Any]) -> Any:
        call(**arguments)
        raise error

    return lose


def preceded_by(action: Callable[[], object]) -> Act:
    """Run `action` before the call, for example a write by another worker."""

    def act(call: Call, arguments: dict[str, Any]) -> Any:
        action()
        return call(**arguments)

    return act


def followed_by(action: Callable[[], object]) -> Act:
    """Run `action` after the call and before its reply is read."""

    def act(call: Call, arguments: dict[str, Any]) -> Any:
        reply = call(**arguments)
        action()
        return reply

    return act


class Stack:
    """The buckets, tables and queue of one test, the services that use them, and methods to inspect them."""

    def __init__(
        self,
        clients: Clients,
        *,
        tables_only: bool = False,
        versioned: bool = True,
        streams: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.arns = arns = dict[str, str]()
        """The template's ARNs by names in the emulator."""
        self.s3, self.dynamodb, self.sqs = (Client(c, arns) for c in (clients.s3, clients.dynamodb, clients.sqs))
        self.secrets, self.events = Client(clients.secretsmanager, arns), Client(clients.events, arns)
        self.url = clients.url
        name = f"t{uuid.uuid4().hex[:12]}"
        self.uploads_bucket, self.thumbnails_bucket = f"{name}-uploads", f"{name}-thumbnails"
        self.images_table, self.stats_table = f"{name}-images", f"{name}-stats"
        self.search_table = f"{name}-search"
        self.queue_url = "https://there.is.no.queue"
        self.event_bus = f"{name}-bus"
        self._create_tables(clients.dynamodb, streams=streams)
        if not tables_only:
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
                self.search_table: "SearchTable",
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
            search_table=self.search_table,
            queue_url=self.queue_url,
            event_bus_name=self.event_bus,
            **({"stats_shards": 3, "processor_timeout_seconds": 20, "pending_timeout_seconds": 30} | settings),
        )
        self.services = self._connected(self.dynamodb, self.s3, self.sqs, seed=1)
        self.records = self.services.records
        self._plain = clients

    def _create_tables(self, dynamodb: Any, *, streams: bool) -> None:
        for table, resource_name in {
            self.images_table: "ImagesTable",
            self.stats_table: "StatsTable",
            self.search_table: "SearchTable",
        }.items():
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
        """Build the services as image_core.services does."""
        records = self._records(dynamodb, seed=seed)
        return Services(
            settings=self.settings,
            records=records,
            storage=Storage(
                s3,
                uploads_bucket=self.uploads_bucket,
                thumbnails_bucket=self.thumbnails_bucket,
                public_client=s3,
                account_id=self.settings.account_id,
            ),
            queue=Queue(sqs, self.queue_url),
            events=EventBus(self.events, self.event_bus),
            search=SearchIndex(
                dynamodb,
                self.search_table,
                records=records,
                sleep=self.clock.sleep,
                rng=random.Random(seed),
            ),
            secrets=self.secrets,  # type: ignore[arg-type]
            clock=Clock(self.clock, self.clock.sleep),
        )

    # What a test does or inspects. These methods use the unmodified clients, so that planned acts do not affect
    # them.

    def put(self, key: str, body: bytes = b"bytes") -> None:
        """Put an object into the uploads bucket."""
        self._plain.s3.put_object(Bucket=self.uploads_bucket, Key=key, Body=body)

    def remove(self, key: str) -> None:
        """Delete an object from the uploads bucket, without the pipeline."""
        self._plain.s3.delete_object(Bucket=self.uploads_bucket, Key=key)

    def update_search_index(self) -> None:
        """Make the index what it is after the stream function has handled all changes."""
        records = self.other_records()
        index = SearchIndex(self._plain.dynamodb, self.search_table, records=records)
        every = list(records.every())
        entries = {key: text for record in every for key, text in entries_of(record).items()}
        gone: dict[Key, str | None] = dict.fromkeys(set(index.every_key()) - entries.keys())
        index.write(gone | entries, {key for record in every for key in dictionary_of(record)})

    def notify_the_queue(self) -> None:
        """Send the events of the uploads bucket to the queue, as template.yaml configures it."""
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
        """Return separate services on the same stack, as another worker has them."""
        return self._connected(self._plain.dynamodb, self._plain.s3, self._plain.sqs, seed=2)

    def other_records(self) -> Records:
        """Return a separate `Records` on the same tables, as another worker has it."""
        return self._records(self._plain.dynamodb, seed=2)

    def every(self) -> list[Record]:
        return list(self.other_records().every())

    def the_record(self) -> Record:
        (record,) = self.every()
        return record

    def counts(self) -> dict[str, int]:
        """Return the status counters that are not 0."""
        return {str(status): count for status, count in self.other_records().stats().counts.items() if count}

    def originals(self) -> set[str]:
        return self._keys(self.uploads_bucket)

    def thumbnails(self) -> set[str]:
        return self._keys(self.thumbnails_bucket)

    def _keys(self, bucket: str) -> set[str]:
        return {entry["Key"] for entry in self._plain.s3.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def messages(self) -> list[dict[str, Any]]:
        """Receive the visible messages. They stay in the queue but are hidden."""
        response = self._plain.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return list(response.get("Messages", []))

    def notifications(self) -> list[dict[str, Any]]:
        """Wait until the messages include one of the bucket's events, and return all of them.

        S3 sends events with a delay.
        """
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
    """Return the arguments that create a table of template.yaml, without its stream.

    Otherwise moto keeps every stream record.
    """
    arguments = table_arguments(resource(name))
    arguments.pop("StreamSpecification", None)
    return arguments


def resource(name: str) -> dict[str, Any]:
    """Return the properties of a resource in template.yaml."""
    properties: dict[str, Any] = _template()["Resources"][name]["Properties"]
    return properties
