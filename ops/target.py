"""Find the stack to work on: the one that `make run` has started, or a deployed one in CloudFormation."""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from pydantic import ValidationError

from image_core.services import Services, connect
from image_core.settings import Settings

if TYPE_CHECKING:
    from boto3.session import Session

LOCAL_FILE = Path(".local") / "stack.json"
LOCK = "stack.lock"
"""The lock next to the file that describes a local stack. It is held while the stack runs
(local/stack_files.py)."""

_RESOURCES = {
    "UploadsBucket": "uploads_bucket",
    "ThumbnailsBucket": "thumbnails_bucket",
    "ImagesTable": "images_table",
    "StatsTable": "stats_table",
    "SearchTable": "search_table",
    "Queue": "queue_url",
    "ApiKeySecret": "api_key_secret_arn",
    "WebhooksQueue": "webhook_queue_url",
}
"""Logical ids in template.yaml, and the settings that contain their physical ids."""


class NoSuchStack(Exception):
    """There is no such stack. The message says what was searched for."""


@dataclass(frozen=True)
class Processor:
    """How many images a stack processes at a time, and the size and CPU of its processor (None if it is local)."""

    concurrency: int
    memory_gb: float | None = None
    architecture: str | None = None


@dataclass(frozen=True)
class Target:
    """A stack: its display name, its settings, a session with its credentials, its API's URL, its processor."""

    name: str
    settings: Settings
    session: Session
    api_url: str | None = None
    processor: Processor | None = None

    def connect(self, *, workers: int) -> Services:
        """The services of the stack, for this many parallel calls."""
        return connect(self.settings, session=self.session, connections=max(10, workers))


def local_stack(path: Path = LOCAL_FILE) -> Target:
    """Return the running local stack that wrote `path`. Raises `NoSuchStack`."""
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        settings = _settings({name.lower(): value for name, value in described["settings"].items()})
        region, is_external, api_url = described["region"], described["external"], described.get("api_url")
        workers = int(described.get("workers", 0))
    except FileNotFoundError as error:
        raise NoSuchStack(
            f"no local stack is running: there is no {path}. Start one with `make run`, pass the file of another "
            "one with --local-file, or pass the name of a deployed stack with --stack."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise NoSuchStack(f"{path} cannot be read: {error!r}") from error
    if not _is_running(path):
        raise NoSuchStack(
            f"the local stack of {path} has stopped. Start one with `make run`, or pass a deployed one with "
            "--stack."
        )
    # The emulator accepts any credentials. A developer's own are not sent to it.
    plain: Any = {} if is_external else {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return Target(
        f"local stack at {settings.aws_endpoint_url}",
        settings,
        boto3.Session(region_name=region, **plain),
        api_url,
        Processor(workers) if workers else None,
    )


def _is_running(path: Path) -> bool:
    """Whether the stack that wrote `path` still has its lock. A killed stack leaves the files, but not the lock."""
    try:
        with path.with_name(LOCK).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def deployed_stack(name: str, *, region: str | None, profile: str | None, endpoint_url: str | None) -> Target:
    """Return the CloudFormation stack `name`: its resources, and the parameters of its deployment.

    boto3 finds the credentials. Raises `NoSuchStack` and boto3's errors.
    """
    session = boto3.Session(region_name=region, profile_name=profile)
    cloudformation = session.client("cloudformation", endpoint_url=endpoint_url)
    try:
        described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except cloudformation.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        raise NoSuchStack(f"there is no stack {name} in {session.region_name}") from error
    outputs = {output.get("OutputKey"): output.get("OutputValue") for output in described.get("Outputs", [])}
    values: dict[str, Any] = {
        _snake_case(str(parameter["ParameterKey"])): parameter.get("ParameterValue")
        for parameter in described.get("Parameters", [])
    }
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name):
        for resource in page["StackResourceSummaries"]:
            if resource["LogicalResourceId"] in _RESOURCES:
                values[_RESOURCES[resource["LogicalResourceId"]]] = resource.get("PhysicalResourceId")
    for queue in ("queue_url", "webhook_queue_url"):
        if values.get(queue):
            # On AWS the physical id is the URL. An emulator may return an ARN, or a URL with another host.
            queue_name = values[queue].replace("/", ":").rpartition(":")[2]
            sqs = session.client("sqs", endpoint_url=endpoint_url)
            values[queue] = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
    if endpoint_url is not None:
        values["aws_endpoint_url"] = endpoint_url
    try:
        settings, processor = _settings(values), _processor(values)
    except ValueError as error:
        raise NoSuchStack(f"{name} is not a stack of this template: {error}") from error
    return Target(f"stack {name} in {session.region_name}", settings, session, outputs.get("ApiUrl"), processor)


def _processor(parameters: dict[str, Any]) -> Processor | None:
    """The processor of a deployed stack. None if the stack is of a version without these parameters."""
    try:
        return Processor(
            int(parameters["processor_max_concurrency"]),
            int(parameters["processor_memory_megabytes"]) / 1024,
            parameters["architecture"],
        )
    except KeyError:
        return None


def _settings(values: dict[str, Any]) -> Settings:
    known = {
        name: value for name, value in values.items() if name in Settings.model_fields and value not in (None, "")
    }
    try:
        return Settings(**known)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise ValueError(problems) from error


def _snake_case(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).removeprefix("_")
