"""Find the data of a stack, or the data that a deleted stack has left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.registry import companion_stack, repositories
from ops.teardown.clients import Clients, is_absent

BUCKETS = ("{stack}-uploads-{account}-{region}", "{stack}-thumbnails-{account}-{region}")
"""The names in template.yaml."""
_STACK_TAG = "aws:cloudformation:stack-name"
_MAX_COUNTED = 100_000
"""Counting more object versions would take minutes."""
_NEVER_UP = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
"""Statuses after a failed first deployment: there are no data to protect, and the stack cannot be updated."""


class Refused(Exception):
    """The stack must not or cannot be deleted in this state. Nothing was changed. The message says what to do."""


@dataclass(frozen=True)
class Inventory:
    """The data of a stack, even of a deleted one. `stack_id` is None if the stack itself is gone.

    `tables` are those with data. `repositories` contain the processor's images.
    """

    name: str
    stack_id: str | None
    is_protected: bool
    buckets: tuple[str, ...]
    tables: tuple[str, ...]
    companion_id: str | None
    repositories: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        ids = (self.stack_id, self.companion_id)
        return not any(ids) and not (self.buckets or self.tables or self.repositories)


class Finder:
    """Finds everything that belongs to the stack `name`, and changes nothing."""

    def __init__(self, name: str, clients: Clients) -> None:
        self._name = name
        self._region = clients.region
        self._cloudformation = clients.cloudformation
        self._s3 = clients.s3
        self._dynamodb = clients.dynamodb
        self._sts = clients.sts

    def inventory(self) -> Inventory:
        """List what would be deleted. Raises `Refused` if nothing with that name exists."""
        stack = self._stack(self._name)
        companion = self._stack(companion_stack(self._name))
        found = Inventory(
            name=self._name,
            stack_id=stack["StackId"] if stack else None,
            is_protected=is_protected(stack) if stack else False,
            buckets=tuple(self._buckets()),
            tables=tuple(self._tables(stack)),
            companion_id=companion["StackId"] if companion else None,
            repositories=tuple(repositories(self._cloudformation, self._name)) if companion else (),
        )
        if found.is_empty:
            raise Refused(f"there is no stack {self._name} in {self._region}, and no data of a deleted one")
        return found

    def refuse_protected(self, found: Inventory) -> None:
        """Raise `Refused` if the stack or a table is protected against deletion."""
        if found.is_protected:
            raise Refused(
                f"{self._name} is protected (ProtectData=true, or termination protection). To delete it with all "
                "its data, deploy it with ProtectData=false first, and turn off its termination protection."
            )
        protected = [table for table in found.tables if self._table(table).get("DeletionProtectionEnabled")]
        if protected:
            raise Refused(
                f"{', '.join(protected)}: deletion protection is on. Turn it off first: "
                + "; ".join(
                    f"aws dynamodb update-table --table-name {table} --no-deletion-protection-enabled"
                    for table in protected
                )
            )

    def losses(self, found: Inventory) -> Iterator[str]:
        """Describe what will be lost, line by line."""
        state = "will be deleted" if found.stack_id else "is already gone"
        yield f"Stack {self._name} in {self._region} {state}. You will permanently lose:"
        for bucket in found.buckets:
            yield f"  bucket {bucket}: {self._counted(bucket)}"
        for table in found.tables:
            count = self._table(table).get("ItemCount", 0)
            yield f"  table {table}: about {count:,} records (DynamoDB counts every six hours)"
        for repository in found.repositories:
            yield f"  container registry {repository}"

    def _stack(self, name: str) -> dict[str, Any] | None:
        try:
            described = self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
            return None
        return None if described["StackStatus"] == "DELETE_COMPLETE" else dict(described)

    def _buckets(self) -> Iterator[str]:
        account = self._sts.get_caller_identity()["Account"]
        for form in BUCKETS:
            bucket = form.format(stack=self._name, account=account, region=self._region)
            try:
                # Bucket names are global: a bucket of the same name may belong to another account.
                self._s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
            except ClientError as error:
                if not is_absent(error):
                    raise
            else:
                yield bucket

    def _tables(self, stack: dict[str, Any] | None) -> Iterator[str]:
        """The tables of the stack, and those that earlier stacks of this name left behind.

        CloudFormation generates their names. It keeps the resources of a deleted stack for 90 days. After that,
        tables are found by the tag that it gave them.
        """
        ids = [*([stack["StackId"]] if stack else []), *self._deleted_stacks()]
        known = {table for stack_id in ids for table in self._tables_of(stack_id)}
        made_up = re.compile(rf"{re.escape(self._name)}-[A-Za-z0-9]+-[A-Z0-9]+")
        for page in self._dynamodb.get_paginator("list_tables").paginate():
            for table in page["TableNames"]:
                if table in known or (made_up.fullmatch(table) and self._tagged_as(table) == self._name):
                    yield table

    def _deleted_stacks(self) -> Iterator[str]:
        pages = self._cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
        for page in pages:
            for summary in page["StackSummaries"]:
                if summary["StackName"] == self._name:
                    yield summary["StackId"]

    def _tables_of(self, stack_id: str) -> Iterator[str]:
        for page in self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_id):
            for resource in page["StackResourceSummaries"]:
                if resource["ResourceType"] == "AWS::DynamoDB::Table" and resource.get("PhysicalResourceId"):
                    yield resource["PhysicalResourceId"]

    def _tagged_as(self, table: str) -> str | None:
        arn = self._table(table).get("TableArn")
        pages = self._dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        return tags.get(_STACK_TAG)

    def _table(self, table: str) -> dict[str, Any]:
        try:
            return dict(self._dynamodb.describe_table(TableName=table)["Table"])
        except ClientError as error:
            if not is_absent(error):
                raise
            return {}

    def _counted(self, bucket: str) -> str:
        objects = versions = size = 0
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for entry in page.get("Versions", []):
                versions += 1
                size += entry["Size"]
                objects += entry["IsLatest"]
            if versions >= _MAX_COUNTED:
                return f"more than {_MAX_COUNTED:,} versions of objects"
        return f"{objects:,} objects, {versions:,} versions, {size / 1e6:,.1f} MB"


def is_protected(stack: Mapping[str, Any]) -> bool:
    """Whether a stack, as CloudFormation describes it, must not be deleted."""
    if stack.get("EnableTerminationProtection"):
        return True
    parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    return parameters.get("ProtectData") == "true" and stack.get("StackStatus") not in _NEVER_UP
