"""Delete everything in an inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from ops.registry import companion_stack
from ops.teardown.clients import Clients, is_absent
from ops.teardown.inventory import Inventory

_PROGRESS_EVERY = 10_000

PrintLine = Callable[[str], None]


class Incomplete(Exception):
    """Something is left. The message says what and why."""


class Teardown:
    """The deletion of a stack. `print_line` gets a line for each thing that is deleted.

    `page_size`: how many versions one call deletes. S3 accepts up to 1,000.
    """

    def __init__(self, clients: Clients, *, print_line: PrintLine, page_size: int = 1000) -> None:
        self._print_line = print_line
        self._page_size = page_size
        self._cloudformation = clients.cloudformation
        self._s3 = clients.s3
        self._dynamodb = clients.dynamodb
        self._ecr = clients.ecr

    def run(self, found: Inventory) -> None:
        """Delete everything in `found`. Raises `Incomplete` if something is left."""
        for bucket in found.buckets:
            self._disconnect(bucket)
            self._empty(bucket)
        if found.stack_id is not None:
            self._delete_stack(found.stack_id, found.name)
        for bucket in found.buckets:
            self._delete_bucket(bucket)
        for table in found.tables:
            self._delete_table(table)
        for repository in found.repositories:
            self._empty_registry(repository)
        if found.companion_id is not None:
            self._delete_stack(found.companion_id, companion_stack(found.name))

    def _disconnect(self, bucket: str) -> None:
        """Turn off the bucket's events, so that the processor does not handle the deletion of every object."""
        self._unless_absent(
            lambda: self._s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        )

    def _empty(self, bucket: str) -> None:
        """Delete all versions and delete markers, page by page."""
        deleted = announced = 0
        for page in self._version_pages(bucket):
            response = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": page, "Quiet": True})
            if errors := response.get("Errors"):
                raise Incomplete(f"{bucket}: S3 kept {len(errors)} objects: {errors[0].get('Code')}")
            deleted += len(page)
            if deleted - announced >= _PROGRESS_EVERY:
                announced = deleted
                self._print_line(f"  {bucket}: {deleted:,} versions deleted")
        if deleted:
            self._print_line(f"emptied {bucket}: {deleted:,} versions and delete markers")

    def _version_pages(self, bucket: str) -> Iterator[list[dict[str, str]]]:
        """Always list the first page of what is left, so that nothing must be resumed and nothing is skipped."""
        while True:
            try:
                listed = self._s3.list_object_versions(Bucket=bucket, MaxKeys=self._page_size)
            except ClientError as error:
                if is_absent(error):
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
        self._print_line(f"deleting stack {name}; this takes minutes")
        self._cloudformation.delete_stack(StackName=stack_id)
        try:
            self._cloudformation.get_waiter("stack_delete_complete").wait(
                StackName=stack_id, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
            )
        except WaiterError as error:
            reasons = self._failures(stack_id)
            raise Incomplete(f"could not delete stack {name}: {reasons or error}. Run this again.") from error
        self._print_line(f"deleted stack {name}")

    def _failures(self, stack_id: str) -> str:
        events = self._cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
        failed = {
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
            for event in events
            if event["ResourceStatus"] == "DELETE_FAILED"
        }
        return "; ".join(sorted(failed))

    def _delete_bucket(self, bucket: str) -> None:
        self._empty(bucket)  # again, because objects may have arrived while the stack still existed
        self._unless_absent(lambda: self._s3.delete_bucket(Bucket=bucket))
        self._print_line(f"deleted bucket {bucket}")

    def _delete_table(self, table: str) -> None:
        self._unless_absent(lambda: self._dynamodb.delete_table(TableName=table))
        self._dynamodb.get_waiter("table_not_exists").wait(TableName=table)
        self._print_line(f"deleted table {table}")

    def _empty_registry(self, repository: str) -> None:
        """Delete all images: CloudFormation deletes a registry only if it is empty."""
        while True:
            try:
                images = self._ecr.list_images(repositoryName=repository, maxResults=100)["imageIds"]
            except ClientError as error:
                if not is_absent(error):
                    raise
                return
            if not images:
                return
            response = self._ecr.batch_delete_image(repositoryName=repository, imageIds=images)
            if not response["imageIds"]:  # an image that another one refers to is deleted in the next round
                failures = response.get("failures", [])
                raise Incomplete(
                    f"{repository}: images are left: {failures[0]['failureReason'] if failures else ''}"
                )
            self._print_line(f"deleted {len(response['imageIds'])} images of {repository}")

    def _unless_absent(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except ClientError as error:
            if not is_absent(error):
                raise
