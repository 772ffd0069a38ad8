"""Which stack is meant: the one that `make run` has started, or a deployed one, as CloudFormation knows it."""

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
"""Beside the file that describes a local stack: locked as long as the stack runs (local/stack_files.py)."""

_RESOURCES = {
    "UploadsBucket": "uploads_bucket",
    "ThumbnailsBucket": "thumbnails_bucket",
    "ImagesTable": "images_table",
    "StatsTable": "stats_table",
    "Queue": "queue_url",
    "ApiKeySecret": "api_key_secret_arn",
}
"""Logical ids of template.yaml, and the settings that their physical ids are."""


class NoSuchStack(Exception):
    """There is nothing to work on; the message says what was looked for."""


@dataclass(frozen=True)
class Target:
    """A stack: its name for people, its settings, a session with the credentials for it, and the URL of its API."""

    name: str
    settings: Settings
    session: Session
    api_url: str | None = None

    def connect(self, *, workers: int) -> Services:
        """The services of the stack, for that many calls at a time."""
        return connect(self.settings, session=self.session, connections=max(10, workers))


def local_stack(path: Path = LOCAL_FILE) -> Target:
    """The running stack that wrote `path` when it started. Raises `NoSuchStack`."""
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        settings = _settings({name.lower(): value for name, value in described["settings"].items()})
        region, is_external, api_url = described["region"], described["external"], described.get("api_url")
    except FileNotFoundError as error:
        raise NoSuchStack(
            f"no local stack is running: there is no {path}. Start one with `make run`, name the file of another "
            "one with --local-file, or name a deployed stack with --stack."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise NoSuchStack(f"{path} cannot be read: {error!r}") from error
    if not _is_running(path):
        raise NoSuchStack(
            f"the local stack of {path} has ended. Start one with `make run`, or name a deployed one with --stack."
        )
    # The emulator takes any credentials; a developer's own are not sent to it.
    plain: Any = {} if is_external else {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return Target(
        f"local stack at {settings.aws_endpoint_url}",
        settings,
        boto3.Session(region_name=region, **plain),
        api_url,
    )


def _is_running(path: Path) -> bool:
    """Whether the stack that wrote `path` holds its lock. A killed stack leaves the files, but not the lock."""
    try:
        with path.with_name(LOCK).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def deployed_stack(name: str, *, region: str | None, profile: str | None, endpoint_url: str | None) -> Target:
    """The stack `name` of CloudFormation: its resources, and the parameters it was deployed with.

    Credentials are found as boto3 finds them. Raises `NoSuchStack`, and what boto3 raises.
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
    if values.get("queue_url"):
        # On AWS the physical id is the URL already; an emulator may give an ARN, or a URL at another host.
        queue_name = values["queue_url"].replace("/", ":").rpartition(":")[2]
        sqs = session.client("sqs", endpoint_url=endpoint_url)
        values["queue_url"] = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
    if endpoint_url is not None:
        values["aws_endpoint_url"] = endpoint_url
    try:
        return Target(f"stack {name} in {session.region_name}", _settings(values), session, outputs.get("ApiUrl"))
    except ValueError as error:
        raise NoSuchStack(f"{name} is no stack of this template: {error}") from error


def _settings(values: dict[str, Any]) -> Settings:
    known = {
        name: value for name, value in values.items() if name in Settings.model_fields and value not in (None, "")
    }
    try:
        return Settings(**known)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ValueError(faults) from error


def _snake_case(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).removeprefix("_")
