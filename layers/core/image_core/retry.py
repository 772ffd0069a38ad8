"""Permanent or transient: the one table by which it is decided, for AWS's errors, the engines' and our own.

It goes by names (AWS's error code, then the names of the exception's classes), so that importing it costs nothing.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import Any


class Kind(Enum):
    """What trying again would bring."""

    PERMANENT = "permanent"  # the same bytes fail the same way: ends as `failed`, never retried
    TRANSIENT = "transient"  # may well be gone in a moment
    OPERATOR = "operator"  # stays until somebody changes a setting; no fault of the image, so it is kept for then


_KINDS: dict[str, Kind] = {
    # Ours
    "ImageError": Kind.PERMANENT,
    "ModelError": Kind.OPERATOR,
    "MemoryError": Kind.TRANSIENT,  # a smaller neighbour, or the next process, may leave enough
    "OSError": Kind.TRANSIENT,
    "TimeoutError": Kind.TRANSIENT,
    # botocore: no answer came, or half of one
    "HTTPClientError": Kind.TRANSIENT,  # connections refused, reset, timed out; TLS
    "ConnectionError": Kind.TRANSIENT,
    "IncompleteReadError": Kind.TRANSIENT,
    "ResponseStreamingError": Kind.TRANSIENT,
    "ReadTimeoutError": Kind.TRANSIENT,
    "ProtocolError": Kind.TRANSIENT,
    "CredentialRetrievalError": Kind.TRANSIENT,
    # botocore: nothing was asked
    "NoCredentialsError": Kind.OPERATOR,
    "PartialCredentialsError": Kind.OPERATOR,
    "NoRegionError": Kind.OPERATOR,
    "ParamValidationError": Kind.OPERATOR,
    "ProfileNotFound": Kind.OPERATOR,
    # AWS: too much at once
    "BandwidthLimitExceeded": Kind.TRANSIENT,
    "EC2ThrottledException": Kind.TRANSIENT,
    "LimitExceededException": Kind.TRANSIENT,
    "ProvisionedThroughputExceeded": Kind.TRANSIENT,  # as a cancelled transaction spells it
    "ProvisionedThroughputExceededException": Kind.TRANSIENT,
    "RequestLimitExceeded": Kind.TRANSIENT,
    "RequestThrottled": Kind.TRANSIENT,
    "RequestThrottledException": Kind.TRANSIENT,
    "SlowDown": Kind.TRANSIENT,
    "Throttling": Kind.TRANSIENT,
    "ThrottledException": Kind.TRANSIENT,
    "ThrottlingError": Kind.TRANSIENT,  # as a cancelled transaction spells it
    "ThrottlingException": Kind.TRANSIENT,
    "TooManyRequestsException": Kind.TRANSIENT,
    # AWS: another was at it
    "ConditionalRequestConflict": Kind.TRANSIENT,
    "OperationAborted": Kind.TRANSIENT,
    "PriorRequestNotComplete": Kind.TRANSIENT,
    "TransactionConflict": Kind.TRANSIENT,
    "TransactionConflictException": Kind.TRANSIENT,
    "TransactionInProgressException": Kind.TRANSIENT,
    # AWS: its own trouble
    "InternalError": Kind.TRANSIENT,
    "InternalFailure": Kind.TRANSIENT,
    "InternalServerError": Kind.TRANSIENT,
    "RequestTimeout": Kind.TRANSIENT,
    "RequestTimeoutException": Kind.TRANSIENT,
    "ServiceUnavailable": Kind.TRANSIENT,
    "ExpiredToken": Kind.TRANSIENT,  # Lambda renews them
    "ExpiredTokenException": Kind.TRANSIENT,
    "RequestExpired": Kind.TRANSIENT,
}

_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate memory", "can't allocate memory")
"""What the engines say in place of `MemoryError`."""


def kind_of(error: BaseException, *, otherwise: Kind = Kind.TRANSIENT) -> Kind:
    """What trying again would bring, after this error; `otherwise` for one that the table does not know.

    An error code of AWS that is not in the table goes by its HTTP status: 429 and 5xx are transient, the rest
    (access denied, no such bucket, …) wants an operator.
    """
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict) and "Error" in answer:
        code = str(answer["Error"].get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        return kind_of_code(code, http_status=status)
    for cls in type(error).__mro__:
        if cls.__name__ in _KINDS:
            return _KINDS[cls.__name__]
    if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
        return Kind.TRANSIENT
    return otherwise


def kind_of_code(code: str, *, http_status: int = 0) -> Kind:
    """`kind_of` for an error code of AWS."""
    if code in _KINDS:
        return _KINDS[code]
    return Kind.TRANSIENT if http_status == 429 or http_status >= 500 else Kind.OPERATOR


FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 900.0


def retry_seconds(failures: int, token: str) -> float:
    """How long to wait after that many failures (1 or more): 15 s, 60 s, 240 s, 900 s, each ± a half.

    The five tries that an image has by default thus span some 20 minutes, an outage's length, while the first
    comes soon. `token`, which is random by itself (an attempt, a message's id), spreads those that failed together.
    """
    spread = zlib.crc32(f"{token}/{failures}".encode()) / 2**32
    return min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 4.0 ** min(failures - 1, 10)) * (0.5 + spread)
