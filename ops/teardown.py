"""Deletes a deployed stack with all its data: its resources, and the buckets and tables that it would leave behind.

CloudFormation keeps the buckets and tables of a deleted stack (their DeletionPolicy says so), and cannot delete a
bucket that is not empty. So this empties the buckets, deletes the stack, then deletes what is left. Every step
starts from what is there, so a second run continues an interrupted one, even if the stack itself is already gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from ops.registry import companion_stack, repositories

if TYPE_CHECKING:
    from boto3.session import Session

BUCKETS = ("{stack}-uploads-{account}-{region}", "{stack}-thumbnails-{account}-{region}")
"""As template.yaml names them."""
_STACK_TAG = "aws:cloudformation:stack-name"
_MAX_COUNTED = 100_000
"""Counting more object versions would take longer than the answer is worth."""
_ABSENT = ("404", "NoSuchBucket", "NotFound", "ResourceNotFoundException", "RepositoryNotFoundException")
_PROGRESS_EVERY = 10_000

Say = Callable[[str], None]


class Refused(Exception):
    """The stack must not or cannot be deleted like this, and nothing was changed; the message says what to do."""


class Incomplete(Exception):
    """Something is left; the message says what and why."""


@dataclass(frozen=True)
class Inventory:
    """What a stack has, or has left behind. `stack_id` is None if the stack itself is gone.

    `tables` are those with data, `repositories` hold the processor's images.
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


class Teardown:
    """The deletion of the stack `name`. `say` gets a line for each thing that is found or deleted.

    `page_size`: how many versions one call deletes; S3 takes up to 1,000.
    """

    def __init__(
        self, name: str, session: Session, *, endpoint_url: str | None, say: Say, page_size: int = 1000
    ) -> None:
        self._name = name
        self._page_size = page_size
        self._region = session.region_name
        self._say = say

        def client(service: Any) -> Any:
            return session.client(service, endpoint_url=endpoint_url)

        self._cloudformation = client("cloudformation")
        self._s3 = client("s3")
        self._dynamodb = client("dynamodb")
        self._ecr = client("ecr")
        self._sts = client("sts")

    # What is there

    def inventory(self) -> Inventory:
        """What would be deleted. Raises `Refused` if there is nothing of that name."""
        stack = self._stack(self._name)
        companion = self._stack(companion_stack(self._name))
        found = Inventory(
            name=self._name,
            stack_id=stack["StackId"] if stack else None,
            is_protected=_is_protected(stack) if stack else False,
            buckets=tuple(self._buckets()),
            tables=tuple(self._tables(stack)),
            companion_id=companion["StackId"] if companion else None,
            repositories=tuple(repositories(self._cloudformation, self._name)) if companion else (),
        )
        if found.is_empty:
            raise Refused(f"there is no stack {self._name} in {self._region}, and nothing that it left behind")
        return found

    def refuse_protected(self, found: Inventory) -> None:
        """Raise `Refused` for a stack or a table that is protected against deletion."""
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

    def show(self, found: Inventory) -> None:
        """Say what will be lost."""
        state = "will be deleted" if found.stack_id else "is already gone"
        self._say(f"Stack {self._name} in {self._region} {state}. With it you lose, for good:")
        for bucket in found.buckets:
            self._say(f"  bucket {bucket}: {self._counted(bucket)}")
        for table in found.tables:
            count = self._table(table).get("ItemCount", 0)
            self._say(
                f"  table {table}: about {count:,} records (DynamoDB counts every six hours), and its backups"
            )
        for repository in found.repositories:
            self._say(f"  container registry {repository}")

    # Deletion

    def run(self, found: Inventory) -> None:
        """Delete everything in `found`. Raises `Incomplete` if something is left."""
        for bucket in found.buckets:
            self._disconnect(bucket)
            self._empty(bucket)
        if found.stack_id is not None:
            self._delete_stack(found.stack_id, self._name)
        for bucket in found.buckets:
            self._delete_bucket(bucket)
        for table in found.tables:
            self._delete_table(table)
        for repository in found.repositories:
            self._empty_registry(repository)
        if found.companion_id is not None:
            self._delete_stack(found.companion_id, companion_stack(self._name))

    def _disconnect(self, bucket: str) -> None:
        """End the bucket's events: the processor should not work through the deletion of every object."""
        self._unless_absent(
            lambda: self._s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        )

    def _empty(self, bucket: str) -> None:
        """Delete all versions and delete markers, page by page."""
        deleted = announced = 0
        for page in self._version_pages(bucket):
            answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": page, "Quiet": True})
            if errors := answer.get("Errors"):
                raise Incomplete(f"{bucket}: S3 kept {len(errors)} objects: {errors[0].get('Code')}")
            deleted += len(page)
            if deleted - announced >= _PROGRESS_EVERY:
                announced = deleted
                self._say(f"  {bucket}: {deleted:,} versions deleted")
        if deleted:
            self._say(f"emptied {bucket}: {deleted:,} versions and delete markers")

    def _version_pages(self, bucket: str) -> Iterator[list[dict[str, str]]]:
        """Always the first page of what is left: nothing to resume, and nothing is passed over."""
        while True:
            try:
                listed = self._s3.list_object_versions(Bucket=bucket, MaxKeys=self._page_size)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return
                raise
            page = [
                {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                for kind in ("Versions", "DeleteMarkers")
                for entry in listed.get(kind, [])
            ]
            if not page:
                return
            yield page

    def _delete_stack(self, stack_id: str, name: str) -> None:
        self._say(f"deleting stack {name}; this takes minutes")
        self._cloudformation.delete_stack(StackName=stack_id)
        try:
            self._cloudformation.get_waiter("stack_delete_complete").wait(
                StackName=stack_id, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
            )
        except WaiterError as error:
            reasons = self._failures(stack_id)
            raise Incomplete(f"stack {name} could not be deleted: {reasons or error}. Run this again.") from error
        self._say(f"deleted stack {name}")

    def _failures(self, stack_id: str) -> str:
        events = self._cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
        failed = {
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
            for event in events
            if event["ResourceStatus"] == "DELETE_FAILED"
        }
        return "; ".join(sorted(failed))

    def _delete_bucket(self, bucket: str) -> None:
        self._empty(bucket)  # of what arrived while the stack was still there
        self._unless_absent(lambda: self._s3.delete_bucket(Bucket=bucket))
        self._say(f"deleted bucket {bucket}")

    def _delete_table(self, table: str) -> None:
        self._unless_absent(lambda: self._dynamodb.delete_table(TableName=table))
        self._dynamodb.get_waiter("table_not_exists").wait(TableName=table)
        self._say(f"deleted table {table}")

    def _empty_registry(self, repository: str) -> None:
        """Delete all images: CloudFormation deletes a registry only if it is empty."""
        while True:
            try:
                images = self._ecr.list_images(repositoryName=repository, maxResults=100)["imageIds"]
            except ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                return
            if not images:
                return
            answer = self._ecr.batch_delete_image(repositoryName=repository, imageIds=images)
            if not answer["imageIds"]:  # one that another image refers to goes in the next round
                failures = answer.get("failures", [])
                raise Incomplete(
                    f"{repository}: images are left: {failures[0]['failureReason'] if failures else ''}"
                )
            self._say(f"deleted {len(answer['imageIds'])} images of {repository}")

    def _unless_absent(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except ClientError as error:
            if _code(error) not in _ABSENT:
                raise

    # Where things are

    def _stack(self, name: str) -> dict[str, Any] | None:
        try:
            described = self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if _code(error) != "ValidationError":
                raise
            return None
        return None if described["StackStatus"] == "DELETE_COMPLETE" else dict(described)

    def _buckets(self) -> Iterator[str]:
        account = self._sts.get_caller_identity()["Account"]
        for form in BUCKETS:
            bucket = form.format(stack=self._name, account=account, region=self._region)
            try:
                # Buckets have one namespace worldwide: one of the same name may be another account's.
                self._s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
            except ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
            else:
                yield bucket

    def _tables(self, stack: dict[str, Any] | None) -> Iterator[str]:
        """The tables of the stack, and those that earlier stacks of this name left behind.

        CloudFormation makes up their names. It remembers the resources of a deleted stack for 90 days; after that,
        tables are known by the tag that it gave them.
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
            if _code(error) not in _ABSENT:
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


def _is_protected(stack: dict[str, Any]) -> bool:
    parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    return parameters.get("ProtectData") == "true" or bool(stack.get("EnableTerminationProtection"))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
