"""Convert every error to a response. All have the same envelope, never a body of the framework."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from image_api.http.errors import (
    HTTP_STATUS,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    RequestError,
)
from image_api.http.forms import RefusedForm
from image_api.schemas import ErrorBody, ErrorResponse
from image_core.errors import PipelineError, Unavailable
from image_core.retry import is_transient

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS = 5
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait before the next request.", "schema": {"type": "integer"}}
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def documented(*errors: type[PipelineError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route with these errors, and with the two errors that every route can return."""
    by_status: dict[int | str, dict[str, Any]] = {}
    every: tuple[type[PipelineError], ...] = (*errors, InternalError, Unavailable)
    for error in every:
        response = by_status.setdefault(
            HTTP_STATUS[error],
            {"model": ErrorResponse, "description": "", "content": {"application/json": {"examples": {}}}},
        )
        line = f"`{error.code}`: {error.default_message}"
        response["description"] = f"{response['description']}\n\n{line}".strip()
        example = ErrorResponse(error=ErrorBody(code=error.code, message=error.default_message))
        response["content"]["application/json"]["examples"][error.code] = {"value": example.model_dump()}
        if error in (NotReady, Unavailable):
            response["headers"] = _RETRY_AFTER
    return by_status


def install(app: FastAPI) -> None:
    """Register the error handlers of `app`. They are async, because Starlette would run others in a thread."""
    for error in HTTP_STATUS:
        app.add_exception_handler(error, _pipeline_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientError, _aws_error)
    app.add_exception_handler(BotoCoreError, _aws_error)


def error_response(error: PipelineError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The envelope of `error`, with its status from `HTTP_STATUS`."""
    body = ErrorResponse(error=ErrorBody(code=error.code, message=error.message))
    return JSONResponse(body.model_dump(), HTTP_STATUS[type(error)], headers)


class UnexpectedErrors:
    """ASGI middleware: 500 for errors without a handler. It is inside CORS, so that pages can read the response.

    Starlette's own handler for `Exception` is outside of all middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def record_start(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, record_start)
        except Exception as error:
            if has_started or scope["type"] != "http":
                raise
            await _unexpected(error)(scope, receive, send)


def _unexpected(error: Exception) -> JSONResponse:
    log.error("unhandled", exc_info=error)
    return error_response(InternalError())


async def _pipeline_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PipelineError)
    after = error.retry_after_seconds if isinstance(error, RequestError) else None
    if isinstance(error, Unavailable):
        after = _RETRY_AFTER_SECONDS
    return error_response(error, {} if after is None else {"Retry-After": str(after)})


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(InvalidRequest(" ".join(map(_in_words, error.errors()))))


_PLACES = {"query": "Query parameter", "header": "Header", "path": "Part of the path", "body": "Field"}


def _in_words(found: dict[str, Any]) -> str:
    """Describe a validation error of pydantic in a sentence."""
    place, *names = found["loc"]
    if found["type"] == "json_invalid":
        return f"The body is not JSON: {found['ctx']['error']} at character {names[-1]}."
    if not names:
        return "The body is missing." if found["type"] == "missing" else f"The body is invalid: {_reason(found)}."
    what = f"{_PLACES[place]} `{'.'.join(map(str, names))}`"
    if found["type"] == "missing":
        return f"{what} is missing."
    if found["type"] == "extra_forbidden":
        return f"{what} is unknown."
    if "UploadFile" in found["msg"]:
        return f"{what} is not a file. With curl: -F {names[-1]}=@photo.jpg"
    return f"{what} is invalid: {_reason(found)}."


def _reason(found: dict[str, Any]) -> str:
    reason = str(found["msg"]).removeprefix("Value error, ").removesuffix(".")
    return f"{reason[0].lower()}{reason[1:]}"


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    """Handle the framework's own errors: an unknown path or method, or a form that it cannot parse."""
    assert isinstance(error, HTTPException)
    if isinstance(error, RefusedForm):
        return await _pipeline_error(request, error.error)
    if error.status_code == HTTP_STATUS[NotFound]:
        return error_response(NotFound("There is nothing at this URL."))
    if error.status_code == HTTP_STATUS[MethodNotAllowed]:
        return error_response(MethodNotAllowed(), {"Allow": _allowed_methods(request)})
    return error_response(InvalidRequest(str(error.detail)))


def _allowed_methods(request: Request) -> str:
    """All methods of the request's path. The framework lists only those of the first matching route."""
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
    if not is_transient(error):
        return _unexpected(error)  # a retry would fail as well
    log.error("a call to AWS failed", exc_info=error)
    return error_response(Unavailable(), {"Retry-After": str(_RETRY_AFTER_SECONDS)})
