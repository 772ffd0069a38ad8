"""Which errors are worth a retry, and how long to wait before it.

Errors are identified by name (AWS's error code, or the names of the exception's classes), so that importing this
module imports nothing else.
"""

from __future__ import annotations

import random
import zlib
from typing import Any

_TRANSIENT = {
    # Python
    "MemoryError",  # a smaller neighbor or the next process may leave enough memory
    "OSError",  # includes TimeoutError and ConnectionError
    # botocore: no response, or an incomplete one
    "HTTPClientError",  # connection refused, reset or timed out; TLS
    "ConnectionError",
    "IncompleteReadError",
    "ResponseStreamingError",
    "ReadTimeoutError",
    "ProtocolError",
    "CredentialRetrievalError",
}
_TRANSIENT_CODES = {
    # Throttling, as an error code or as the reason of a canceled transaction
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
    # Conflicts with another writer
    "ConditionalRequestConflict",
    "OperationAborted",
    "PriorRequestNotComplete",
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
    # Errors that AWS reports without a status of 500 or above
    "InternalError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ExpiredToken",  # Lambda renews credentials
    "ExpiredTokenException",
    "RequestExpired",
}
_CONFIGURATION = {
    "ModelError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "NoRegionError",
    "ParamValidationError",
    "ProfileNotFound",
}
_PROGRAMMING = {"ImportError", "AttributeError", "NameError", "TypeError", "AssertionError", "NotImplementedError"}

_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate memory", "can't allocate memory")
"""Messages of the inference engine in cases where Python would raise `MemoryError`."""


def is_transient(error: BaseException) -> bool:
    """Whether this error is known to pass without any change.

    AWS error codes outside the table are judged by their HTTP status: 429 and 5xx are transient.
    """
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        return is_transient_code(str(response["Error"].get("Code", ""))) or status == 429 or status >= 500
    if _is_one_of(error, _TRANSIENT):
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def is_transient_code(code: str) -> bool:
    """`is_transient` for an AWS error code without a response, as in the reasons of a canceled transaction."""
    return code in _TRANSIENT_CODES


def needs_configuration(error: BaseException) -> bool:
    """Whether this error lasts until a setting or a permission is changed. The image is not the cause."""
    if _is_one_of(error, _CONFIGURATION):
        return True
    is_from_aws = isinstance(getattr(error, "response", None), dict)
    return is_from_aws and not is_transient(error)


def is_programming_error(error: BaseException) -> bool:
    """Whether this error is a bug in the code: every retry would fail in the same way."""
    return _is_one_of(error, _PROGRAMMING)


def _is_one_of(error: BaseException, names: set[str]) -> bool:
    return any(cls.__name__ in names for cls in type(error).__mro__)


FIRST_BACKOFF_SECONDS = 15.0
LONGEST_BACKOFF_SECONDS = 900.0


def backoff_seconds(failures: int, token: str) -> float:
    """Seconds to wait after this number of failures (1 or more): 15, 60, 240, 900, each ± 50%.

    With the default of five attempts, an image survives an outage of about 20 minutes, and its first retry still
    comes soon. `token` is already random (an attempt, a message id): it spreads images that failed together.
    """
    spread = zlib.crc32(f"{token}/{failures}".encode()) / 2**32
    return min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 4.0 ** min(failures - 1, 10)) * (0.5 + spread)


def jittered_seconds(failures: int, rng: random.Random) -> float:
    """How long to wait after this many failures of a call to DynamoDB: full jitter, at most a second."""
    return rng.uniform(0, min(1.0, 0.02 * 2**failures))
