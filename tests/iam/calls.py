"""The permissions that AWS calls need, from the Service Authorization Reference; and the calls so far.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tests.iam.policies import ROLES, Statement, allows, of_role
from tests.iam.resolved import ACCOUNT, REGION, with_webhooks


class Permission(NamedTuple):
    action: str
    resource: str


Arns = Mapping[str, str]
"""ARNs by the names in calls: buckets, tables, queue URLs, secret ids."""

_TRANSACTED = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def permissions_needed(service: str, operation: str, arguments: Mapping[str, Any], arns: Arns) -> list[Permission]:
    """Return the permissions that a role needs for this call, a method of a boto3 client.

    Raises for an unknown call.
    """
    needed: Callable[[str, Mapping[str, Any], Arns], list[Permission] | None] = {
        "s3": _s3,
        "dynamodb": _dynamodb,
        "sqs": _sqs,
        "secretsmanager": _secrets,
        "events": _events,
    }[service]
    permissions = needed(operation, arguments, arns)
    if permissions is None:
        raise NotImplementedError(f"{service}.{operation}: add its permissions to tests/iam/calls.py")
    return permissions


def _s3(operation: str, arguments: Mapping[str, Any], arns: Arns) -> list[Permission] | None:
    bucket = arns.get(arguments["Bucket"], f"arn:aws:s3:::{arguments['Bucket']}")
    arn = f"{bucket}/{arguments.get('Key', '')}"
    suffix = "Version" if "VersionId" in arguments else ""
    # For a missing object, S3 returns 403 instead of 404 to callers that may not list the bucket.
    listing = Permission("s3:ListBucket", bucket)
    conditional = [Permission("s3:GetObject", arn)] if "IfMatch" in arguments else []
    return {
        "head_object": [Permission(f"s3:GetObject{suffix}", arn), listing],
        "get_object": [Permission(f"s3:GetObject{suffix}", arn), listing],
        "put_object": [Permission("s3:PutObject", arn), *conditional],
        "delete_object": [Permission(f"s3:DeleteObject{suffix}", arn), *conditional],
        "delete_objects": [
            Permission(
                "s3:DeleteObjectVersion" if "VersionId" in entry else "s3:DeleteObject", f"{bucket}/{entry['Key']}"
            )
            for entry in arguments.get("Delete", {}).get("Objects", [])
        ],
        "list_objects_v2": [listing],
    }.get(operation)


def _dynamodb(operation: str, arguments: Mapping[str, Any], arns: Arns) -> list[Permission] | None:
    def table(name: str) -> str:
        return arns.get(name, f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")

    if operation == "transact_write_items":
        return [
            Permission(f"dynamodb:{_TRANSACTED[kind]}", table(write["TableName"]))
            for item in arguments["TransactItems"]
            for kind, write in item.items()
        ]
    if operation in ("batch_get_item", "batch_write_item"):
        action = "BatchGetItem" if operation == "batch_get_item" else "BatchWriteItem"
        return [Permission(f"dynamodb:{action}", table(name)) for name in arguments["RequestItems"]]
    if operation in ("query", "scan"):
        index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
        return [Permission(f"dynamodb:{operation.capitalize()}", table(arguments["TableName"]) + index)]
    if operation in ("get_item", "put_item", "update_item", "delete_item"):
        action = "".join(part.capitalize() for part in operation.split("_"))
        return [Permission(f"dynamodb:{action}", table(arguments["TableName"]))]
    return None


def _sqs(operation: str, arguments: Mapping[str, Any], arns: Arns) -> list[Permission] | None:
    url = arguments["QueueUrl"]
    queue = arns.get(url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rsplit('/', 1)[-1]}")
    action = {
        "send_message": "SendMessage",
        "send_message_batch": "SendMessage",
        "receive_message": "ReceiveMessage",
        "delete_message": "DeleteMessage",
        "change_message_visibility": "ChangeMessageVisibility",
        "get_queue_attributes": "GetQueueAttributes",
    }.get(operation)
    return [Permission(f"sqs:{action}", queue)] if action else None


def _secrets(operation: str, arguments: Mapping[str, Any], arns: Arns) -> list[Permission] | None:
    if operation != "get_secret_value":
        return None
    return [Permission("secretsmanager:GetSecretValue", arns.get(arguments["SecretId"], arguments["SecretId"]))]


def _events(operation: str, arguments: Mapping[str, Any], arns: Arns) -> list[Permission] | None:
    if operation != "put_events":
        return None
    buses = {entry["EventBusName"] for entry in arguments["Entries"]}
    return [Permission("events:PutEvents", arns.get(name, name)) for name in sorted(buses)]


# The functions' calls

recorded: Counter[tuple[str, str, str, Permission]] = Counter()
"""How often each function made each call, by function, service, operation and permission.

All of them were allowed.
"""
refused: list[str] = []
"""Calls that the template's policies do not allow."""

_FUNCTIONS = {
    "image_api": "api",
    "image_processor": "processor",
    "image_recovery": "recovery",
    "image_stream": "stream",
    "image_webhooks": "webhooks",
}


def calling_function() -> str | None:
    """Return the function whose code makes the current call, or None if a test makes it."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(
        ("tests.iam", "tests.functional.emulator")
    ):
        frame = frame.f_back
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in _FUNCTIONS:
            return _FUNCTIONS[package]
        if package == "tests":
            return None
        frame = frame.f_back
    return None


def enforce(service: str, operation: str, arguments: Mapping[str, Any], arns: Arns) -> None:
    """Raise AccessDenied for a function's call if IAM would."""
    function = calling_function()
    if function is None:
        return
    for permission in permissions_needed(service, operation, arguments, arns):
        if not allows(_statements(function), *permission):
            refused.append(f"{function}: {service}.{operation} needs {permission.action} on {permission.resource}")
            denial = {"Error": {"Code": "AccessDenied", "Message": refused[-1]}}
            raise ClientError(denial, operation)  # type: ignore[arg-type]
        recorded[function, service, operation, _kind(permission)] += 1


def _kind(permission: Permission) -> Permission:
    """Return the same permission on any object of the bucket."""
    bucket, slash, _ = permission.resource.partition("/")
    return (
        Permission(permission.action, f"{bucket}/*") if slash and bucket.startswith("arn:aws:s3:::") else permission
    )


_known: dict[str, list[Statement]] = {}


def _statements(function: str) -> list[Statement]:
    if function not in _known:
        _known[function] = of_role(with_webhooks(), ROLES[function])
    return _known[function]
