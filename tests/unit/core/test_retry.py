"""The table of what is permanent, what may pass, and what wants an operator."""

from __future__ import annotations

import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from hypothesis import given
from hypothesis import strategies as st

from image_core.errors import IMAGE_ERRORS, ModelError
from image_core.retry import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, Kind, kind_of, retry_seconds


def answer(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetItem",
    )


@pytest.mark.parametrize("error", IMAGE_ERRORS.values())
def test_a_fault_of_the_picture_is_permanent(error: type[Exception]) -> None:
    assert kind_of(error()) is Kind.PERMANENT


@pytest.mark.parametrize(
    "code",
    sorted({*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES}),
)
def test_whatever_botocore_retries_is_transient(code: str) -> None:
    assert kind_of(answer(code)) is Kind.TRANSIENT


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
        answer("Unheard of", 503),
        answer("Unheard of", 429),
    ],
    ids=repr,
)
def test_what_may_pass_is_transient_whatever_else_would_be_assumed(error: Exception) -> None:
    assert kind_of(error, otherwise=Kind.PERMANENT) is Kind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        answer("AccessDenied", 403),
        answer("AccessDeniedException"),
        answer("NoSuchBucket", 404),
        answer("ResourceNotFoundException"),
        answer("ValidationException"),
        aws.NoCredentialsError(),
        aws.ParamValidationError(report="x"),
        ModelError("no such folder"),
    ],
    ids=repr,
)
def test_what_only_a_change_of_settings_can_mend_wants_an_operator(error: Exception) -> None:
    assert kind_of(error) is Kind.OPERATOR


def test_what_the_table_does_not_know_is_as_the_caller_assumes() -> None:
    assert kind_of(RuntimeError("?")) is Kind.TRANSIENT
    assert kind_of(RuntimeError("?"), otherwise=Kind.PERMANENT) is Kind.PERMANENT


@given(st.integers(1, 10_000), st.text())
def test_waits_are_bounded_and_spread(failures: int, token: str) -> None:
    middle = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 4.0 ** min(failures - 1, 10))
    assert 0.5 * middle <= retry_seconds(failures, token) <= 1.5 * middle


def test_those_that_failed_together_come_back_apart() -> None:
    waits = {round(retry_seconds(1, f"attempt {n}"), 2) for n in range(100)}
    assert len(waits) > 90
