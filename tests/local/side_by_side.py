"""Make the same calls to patched and to unpatched moto, and compare responses and contents."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]
_CONFIG = Config(retries={"max_attempts": 0}, parameter_validation=False, s3={"addressing_style": "path"})

IMAGES: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("id", "listed", "created", "status", "sha")
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": name,
            "KeySchema": [
                {"AttributeName": attribute, "KeyType": kind}
                for attribute, kind in zip(attributes, ("HASH", "RANGE"), strict=False)
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        for name, attributes in {
            "by_created": ("listed", "created"),
            "by_status": ("status", "created"),
            "by_sha": ("sha",),
        }.items()
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}
COUNTERS: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "name", "AttributeType": "S"},
        {"AttributeName": "shard", "AttributeType": "N"},
    ],
    "KeySchema": [{"AttributeName": "name", "KeyType": "HASH"}, {"AttributeName": "shard", "KeyType": "RANGE"}],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}
SHAPES = {"images": IMAGES, "counters": COUNTERS}


@dataclass
class Emulator:
    """Clients of one of the two emulators."""

    url: str
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
            self.clients[service] = session.client(service, endpoint_url=self.url, config=_CONFIG)
        return self.clients[service]

    def outcome(self, service: str, operation: str, arguments: dict[str, Any]) -> Any:
        """Make a call and return its response, or the complete error, without parts that differ each time."""
        try:
            response = getattr(self.client(service), operation)(**arguments)
        except ClientError as error:
            response = {**error.response, "status": error.response["ResponseMetadata"]["HTTPStatusCode"]}
        return {name: value for name, value in response.items() if name != "ResponseMetadata"}

    def table(self, name: str) -> tuple[list[Item], list[Any]]:
        """Return the items and the stream records of a table."""
        items = self.client("dynamodb").scan(TableName=name)["Items"]
        return items, [record["dynamodb"] | {"event": record["eventName"]} for record in self.stream(name)]

    def stream(self, name: str, kind: str = "TRIM_HORIZON", **where: str) -> list[Any]:
        """Return the records of a table's stream from that position on."""
        return list(self.records(self.iterator(name, kind, **where)))

    def iterator(self, name: str, kind: str, **where: str) -> str:
        """Return an iterator of a table's stream."""
        arn = self.client("dynamodb").describe_table(TableName=name)["Table"]["LatestStreamArn"]
        streams = self.client("dynamodbstreams")
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        found = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **where)
        return str(found["ShardIterator"])

    def records(self, iterator: str) -> Iterator[Any]:
        """Yield records page by page until there are no more."""
        while True:
            page = self.client("dynamodbstreams").get_records(ShardIterator=iterator)
            for record in page["Records"]:
                for name in ("ApproximateCreationDateTime", "SizeBytes"):  # moto's size depends on the time
                    del record["dynamodb"][name]
                yield record
            if not page["Records"]:
                return
            iterator = page["NextShardIterator"]


@dataclass(frozen=True)
class Both:
    """Patched and unpatched (`plain`) moto."""

    patched: Emulator
    plain: Emulator
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, service: str, operation: str, **arguments: Any) -> Any:
        """Make a call to both. Asserts that both give the same response (or error), and returns it."""
        return self.same(lambda emulator: emulator.outcome(service, operation, arguments))

    def same(self, read: Callable[[Emulator], Any]) -> Any:
        """Read from both. Asserts that the results are equal, and returns them."""
        found, expected = read(self.patched), read(self.plain)
        assert found == expected, f"patched moto:\n{found}\n\nplain moto:\n{expected}"
        return found

    def new_table(self, shape: str) -> str:
        """Create an empty table in both and return its name."""
        name = f"{shape}-{next(self._numbers)}"
        for emulator in (self.patched, self.plain):
            emulator.client("dynamodb").create_table(TableName=name, **SHAPES[shape])
        return name

    def assert_same_tables(self, *names: str) -> None:
        """Assert that items and stream records of these tables are equal."""
        for name in names:
            self.same(lambda emulator, name=name: emulator.table(name))  # type: ignore[misc]
