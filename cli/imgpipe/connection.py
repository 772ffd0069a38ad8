"""HTTP connections: to the API, with the key, and to other hosts that the API refers to, without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from imgpipe import __version__
from imgpipe.errors import ApiError, NotFound, Refused, Unreachable
from imgpipe.retries import OnRetry, Retries, ignore_retry, send
from imgpipe.settings import Settings

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Timeout in seconds without a byte in either direction. API Gateway's own timeout is 30."""

Receiver = Callable[[httpx.Response], Any]


class Connection:
    """Calls with retries, and errors as exceptions. An async context manager."""

    def __init__(self, settings: Settings, retries: Retries) -> None:
        self.settings = settings
        self._retries = retries
        self._reached = False
        self._is_api = False
        tls = httpx.create_ssl_context()
        headers = {"User-Agent": f"imgpipe/{__version__}"}
        # The bucket's host never gets the key, because it has its own client.
        self._elsewhere = httpx.AsyncClient(timeout=TIMEOUT, verify=tls, headers=headers)
        if settings.key:
            headers["X-Api-Key"] = settings.key
        self._api = httpx.AsyncClient(
            base_url=settings.api,
            timeout=TIMEOUT,
            verify=tls,
            headers={**headers, "Accept": "application/json"},
            # A proxy from the environment is another machine, and would see the key of a local API.
            trust_env=not settings.is_on_this_machine,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.aclose()
        await self._elsewhere.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        on_retry: OnRetry = ignore_retry,
        files: Callable[[], Any] | None = None,
        receive: Receiver | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        """Call the API and return a response with status 2xx or 3xx.

        `files` creates the form's files for each attempt. `receive` gets a successful response to stream its body;
        without it, the body is read completely. Raises `ApiError`, `NotFound`, `Refused`, `Unreachable`.
        """

        async def once() -> httpx.Response:
            form = {"files": files()} if files else {}
            return await _once(self._api, self._api.build_request(method, path, **arguments, **form), receive)

        response, attempts = await send(once, self._retries, on_retry=on_retry, first_contact=not self._reached)
        self._reached = True
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise self._error(response, attempts)
        self._is_api = True
        return response

    def _error(self, response: httpx.Response, attempts: int) -> ApiError | Unreachable:
        """Return the exception for an error status.

        An error in a format that the API does not use comes from another server. If the API has responded before,
        the error comes from something in between, such as a proxy, and concerns only this call.
        """
        status = response.status_code
        code, message = f"http_{status}", f"The API responded with {status} {response.reason_phrase}".strip()
        body = _json_object(response)
        own = body.get("error")
        if isinstance(own, dict) and own.get("code"):
            code, message = str(own["code"]), str(own.get("message") or message)
            self._is_api = True
            if status == HTTPStatus.NOT_FOUND:
                return NotFound(status, code, message, attempts)
        elif isinstance(body.get("message"), str) and status != HTTPStatus.NOT_FOUND:
            message = f"{message}: {body['message']}"  # API Gateway's own errors; its 404 means a wrong URL
        elif not self._is_api:
            return not_the_api(response)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return Refused(status, code, f"{message} (the key: IMGPIPE_API_KEY or --api-key-file)", attempts)
        return ApiError(status, code, message, attempts)

    async def call_elsewhere(
        self,
        method: str,
        url: str,
        *,
        on_retry: OnRetry = ignore_retry,
        content: Callable[[], Any] | None = None,
        receive: Receiver | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call another host and return its response, with any status. `content` creates the body for each
        attempt."""

        async def once() -> httpx.Response:
            body = content() if content else None
            request = self._elsewhere.build_request(method, url, headers=headers, content=body)
            return await _once(self._elsewhere, request, receive)

        try:
            return (await send(once, self._retries, on_retry=on_retry))[0]
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Unreachable("The API returned an invalid URL.") from error


async def _once(client: httpx.AsyncClient, request: httpx.Request, receive: Receiver | None) -> httpx.Response:
    response = await client.send(request, stream=True)
    try:
        if receive is not None and response.is_success:
            await receive(response)
        else:
            await response.aread()
    finally:
        await response.aclose()
    return response


def document(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of a response. Raises `Unreachable` if it has none, because it is another server
    then."""
    found = _json_object(response)
    if not found:
        raise not_the_api(response)
    return found


def not_the_api(response: httpx.Response) -> Unreachable:
    """Return the error for a response that an image pipeline never sends."""
    url, status = response.url.copy_with(query=None), response.status_code
    return Unreachable(
        f"The server at {url} is not an image pipeline's API (status {status}). Check --api or IMGPIPE_API."
    )


def _json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of a response, empty if it has none."""
    try:
        found = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
