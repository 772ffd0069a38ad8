"""Which errors are retried, which need an operator, and how long a retry waits."""

from __future__ import annotations

import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from hypothesis import given
from hypothesis import strategies as st

from image_core.errors import CorruptImage, ModelError, Superseded
from image_core.retry import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    backoff_seconds,
    is_programming_error,
    is_transient,
    is_transient_code,
    needs_configuration,
)


def response(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetItem",
    )


@pytest.mark.parametrize(
    "code",
    sorted({*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES}),
)
def test_every_code_that_botocore_retries_is_transient(code: str) -> None:
    assert is_transient(response(code))


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"])
def test_the_reasons_of_a_cancelled_transaction_are_classified(code: str) -> None:
    assert is_transient_code(code)


@pytest.mark.parametrize(
    "error",
    [
        aws.EndpointConnectionError(endpoint_url="https://x"),
        aws.ConnectTimeoutError(endpoint_url="https://x"),
        aws.ReadTimeoutError(endpoint_url="https://x"),
        aws.ConnectionClosedError(endpoint_url="https://x"),
        aws.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        aws.ResponseStreamingError(error="reset"),
        ConnectionResetError(),
        TimeoutError(),
        MemoryError(),
        OSError(28, "no space left on device"),
        RuntimeError("std::bad_alloc"),
        response("Unheard of", 503),
        response("Unheard of", 429),
    ],
    ids=repr,
)
def test_a_transient_error_is_transient_and_nothing_else(error: Exception) -> None:
    assert is_transient(error)
    assert not needs_configuration(error)
    assert not is_programming_error(error)


@pytest.mark.parametrize(
    "error",
    [
        response("AccessDenied", 403),
        response("AccessDeniedException"),
        response("NoSuchBucket", 404),
        response("ResourceNotFoundException"),
        response("ValidationException"),
        aws.NoCredentialsError(),
        aws.ParamValidationError(report="x"),
        ModelError("no such folder"),
    ],
    ids=repr,
)
def test_an_error_that_only_a_setting_can_fix_is_not_transient(error: Exception) -> None:
    assert needs_configuration(error)
    assert not is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ImportError("x"),
        ModuleNotFoundError("x"),
        AttributeError("x"),
        TypeError("x"),
        NameError("x"),
        UnboundLocalError(),
    ],
    ids=repr,
)
def test_a_bug_is_a_programming_error(error: Exception) -> None:
    assert is_programming_error(error)
    assert not is_transient(error)


@pytest.mark.parametrize("error", [RuntimeError("?"), ValueError("?"), CorruptImage(), Superseded()], ids=repr)
def test_any_other_error_belongs_to_no_category(error: Exception) -> None:
    assert not (is_transient(error) or needs_configuration(error) or is_programming_error(error))


@given(st.integers(1, 10_000), st.text())
def test_delays_are_bounded_and_spread(failures: int, token: str) -> None:
    middle = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 4.0 ** min(failures - 1, 10))
    assert 0.5 * middle <= backoff_seconds(failures, token) <= 1.5 * middle


def test_images_that_failed_together_are_retried_at_different_times() -> None:
    waits = {round(backoff_seconds(1, f"attempt {n}"), 2) for n in range(100)}
    assert len(waits) > 90
