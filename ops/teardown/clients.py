"""The boto3 clients of a teardown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from boto3.session import Session

_ABSENT = ("404", "NoSuchBucket", "NotFound", "ResourceNotFoundException", "RepositoryNotFoundException")


@dataclass(frozen=True)
class Clients:
    """boto3's clients by service, and their region."""

    region: str
    cloudformation: Any
    s3: Any
    dynamodb: Any
    ecr: Any
    sts: Any

    @classmethod
    def of(cls, session: Session, endpoint_url: str | None) -> Clients:
        """Create the clients of a session. `endpoint_url` is that of an emulator."""

        def client(service: Any) -> Any:
            return session.client(service, endpoint_url=endpoint_url)

        names = ("cloudformation", "s3", "dynamodb", "ecr", "sts")
        return cls(str(session.region_name), **{name: client(name) for name in names})


def is_absent(error: ClientError) -> bool:
    """Whether the error says that the bucket, table or registry does not exist."""
    return error.response.get("Error", {}).get("Code") in _ABSENT
