"""Errors of calls, as botocore raises them after its own retries."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

URL = "https://aws.invalid/"


@cache
def exceptions_of(service: str) -> Any:
    """Return a client's `exceptions`: boto3's own classes."""
    client = boto3.client(
        service,  # type: ignore[call-overload]
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    return client.exceptions


def refusal(
    service: str,
    operation: str,
    code: str,
    message: str = "",
    http: int = 400,
    *,
    shape: str | None = None,
    **more: Any,
) -> ClientError:
    """Build an error response of a service, with boto3's class for its code (or for `shape` if that differs)."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": http},
    } | more
    error: ClientError = exceptions_of(service).from_code(shape or code)(response, operation)
    return error


def throttled(service: str, operation: str) -> ClientError:
    """Too many calls, even after all retries."""
    if operation == "TransactWriteItems":
        return cancelled("ThrottlingError", "None")
    code = {
        "s3": "SlowDown",
        "sqs": "RequestThrottled",
        "dynamodb": "ProvisionedThroughputExceededException",
        "events": "ThrottlingException",
    }[service]
    return refusal(service, operation, code, "Slow down.", 503 if service == "s3" else 400)


def server_error(service: str, operation: str) -> ClientError:
    """An internal error of the service."""
    code = {"dynamodb": "InternalServerError", "events": "InternalException"}.get(service, "InternalError")
    return refusal(service, operation, code, "We encountered an internal error.", 500)


def cancelled(*codes: str) -> ClientError:
    """A cancelled transaction with its reasons, one for each item."""
    reasons = [{"Code": code} for code in codes]
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    return refusal(
        "dynamodb", "TransactWriteItems", "TransactionCanceledException", text, CancellationReasons=reasons
    )


def unreachable() -> Exception:
    return EndpointConnectionError(endpoint_url=URL)


def closed() -> Exception:
    return ConnectionClosedError(endpoint_url=URL)


def timed_out() -> Exception:
    return ReadTimeoutError(endpoint_url=URL)
