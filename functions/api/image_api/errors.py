"""Errors become HTTP here, and only here: one envelope for all, no framework's own bodies."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from image_api.schemas import ErrorAnswer, ErrorBody
from image_core.errors import InternalError, InvalidRequest, NotFound, RequestError, TooLarge, Unavailable
from image_core.faults import Kind, kind_of

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS = 5


def documented(*errors: type[RequestError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors."""
    by_status: dict[int | str, dict[str, Any]] = {}
    every: tuple[type[RequestError], ...] = (*errors, InvalidRequest, InternalError, Unavailable)
    for error in every:
        codes = by_status.setdefault(error.http_status, {"model": ErrorAnswer, "description": ""})
        line = f"`{error.code}`: {error.default_message}"
        codes["description"] = f"{codes['description']}\n\n{line}".strip()
    return by_status


def install(app: FastAPI) -> None:
    """Makes every fault of `app` an envelope."""
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientError, _aws_error)
    app.add_exception_handler(BotoCoreError, _aws_error)
    app.add_exception_handler(Exception, _internal_error)


def answer(http_status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The envelope of an error."""
    body = ErrorAnswer(error=ErrorBody(code=code, message=message))
    return JSONResponse(body.model_dump(), http_status, headers)


def _request_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return answer(error.http_status, error.code, error.message, headers)


def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return answer(InvalidRequest.http_status, InvalidRequest.code, "; ".join(faults))


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    codes = {
        HTTPStatus.NOT_FOUND: (NotFound.code, "There is nothing at this address."),
        HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "This address does not take that method."),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (TooLarge.code, TooLarge.default_message),
    }
    code, message = codes.get(HTTPStatus(error.status_code), (InvalidRequest.code, str(error.detail)))
    return answer(error.status_code, code, message, dict(error.headers or {}))


def _aws_error(request: Request, error: Exception) -> JSONResponse:
    if kind_of(error) is not Kind.TRANSIENT:
        return _internal_error(request, error)  # asking again would not help
    log.error("AWS did not do what was asked", exc_info=error)
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    return answer(Unavailable.http_status, Unavailable.code, Unavailable.default_message, headers)


def _internal_error(_: Request, error: Exception) -> JSONResponse:
    log.error("unhandled", exc_info=error)
    return answer(InternalError.http_status, InternalError.code, InternalError.default_message)
