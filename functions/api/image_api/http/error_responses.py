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
from starlette.routing import Match

from image_api.schemas import ErrorAnswer, ErrorBody
from image_core.errors import (
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    RequestError,
    Unavailable,
)
from image_core.retry import Kind, kind_of

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS = 5
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "integer"}}
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def documented(*errors: type[RequestError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors, and with those that every route may have."""
    by_status: dict[int | str, dict[str, Any]] = {}
    every: tuple[type[RequestError], ...] = (*errors, InternalError, Unavailable)
    for error in every:
        response = by_status.setdefault(
            error.http_status,
            {"model": ErrorAnswer, "description": "", "content": {"application/json": {"examples": {}}}},
        )
        line = f"`{error.code}`: {error.default_message}"
        response["description"] = f"{response['description']}\n\n{line}".strip()
        example = ErrorAnswer(error=ErrorBody(code=error.code, message=error.default_message))
        response["content"]["application/json"]["examples"][error.code] = {"value": example.model_dump()}
        if error in (NotReady, Unavailable):
            response["headers"] = _RETRY_AFTER
    return by_status


def install(app: FastAPI) -> None:
    """Makes every fault of `app` an envelope. The handlers are async: for others a thread would be started."""
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientError, _aws_error)
    app.add_exception_handler(BotoCoreError, _aws_error)


def answer(http_status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The envelope of an error."""
    body = ErrorAnswer(error=ErrorBody(code=code, message=message))
    return JSONResponse(body.model_dump(), http_status, headers)


def unhandled(error: Exception) -> JSONResponse:
    """The answer to what nobody thought of."""
    log.error("unhandled", exc_info=error)
    return answer(InternalError.http_status, InternalError.code, InternalError.default_message)


async def _request_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    after = error.retry_after_seconds
    if after is None and isinstance(error, Unavailable):
        after = _RETRY_AFTER_SECONDS
    headers = {} if after is None else {"Retry-After": str(after)}
    return answer(error.http_status, error.code, error.message, headers)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return answer(InvalidRequest.http_status, InvalidRequest.code, "; ".join(faults))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: an unknown address or method, or a form that it cannot read."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return answer(NotFound.http_status, NotFound.code, "There is nothing at this address.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refused = MethodNotAllowed
        return answer(refused.http_status, refused.code, refused.default_message, {"Allow": _allowed(request)})
    return answer(InvalidRequest.http_status, InvalidRequest.code, str(error.detail))


def _allowed(request: Request) -> str:
    """Every method that the address takes; the framework names those of the first route that has it."""
    allowed = [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return ", ".join(allowed)


async def _aws_error(_: Request, error: Exception) -> JSONResponse:
    if kind_of(error) is not Kind.TRANSIENT:
        return unhandled(error)  # asking again would not help
    log.error("AWS did not do what was asked", exc_info=error)
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    return answer(Unavailable.http_status, Unavailable.code, Unavailable.default_message, headers)
