"""The HTTP connection: to the API, with the key; and to wherever the API sends us, without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from imgpipe import __version__
from imgpipe.errors import ApiError, NotFound, Refused, Unreachable
from imgpipe.retries import Retries, Waiting, nobody, send
from imgpipe.settings import Settings

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Seconds without a byte either way; API Gateway itself gives up after 30."""

Receiver = Callable[[httpx.Response], Any]


class Connection:
    """Calls with retries, and errors as exceptions. An async context manager."""

    def __init__(self, settings: Settings, retries: Retries) -> None:
        self.settings = settings
        self._retries = retries
        self._reached = False
        tls = httpx.create_ssl_context()
        headers = {"User-Agent": f"imgpipe/{__version__}"}
        # The bucket's host never sees the key: it has a client of its own.
        self._elsewhere = httpx.AsyncClient(timeout=TIMEOUT, verify=tls, headers=headers)
        if settings.key:
            headers["X-Api-Key"] = settings.key
        self._api = httpx.AsyncClient(
            base_url=settings.api, timeout=TIMEOUT, verify=tls, headers={**headers, "Accept": "application/json"}
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
        waiting: Waiting = nobody,
        files: Callable[[], Any] | None = None,
        receive: Receiver | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        """The API's answer, 2xx or 3xx.

        `files` makes the form's files anew for each attempt; `receive` takes a successful body as it comes, else
        it is read whole. Raises `ApiError`, `NotFound`, `Refused`, `Unreachable`.
        """

        async def once() -> httpx.Response:
            form = {"files": files()} if files else {}
            return await _once(self._api, self._api.build_request(method, path, **arguments, **form), receive)

        response, attempts = await send(once, self._retries, waiting=waiting, first_contact=not self._reached)
        self._reached = True
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise _fault(response, attempts)
        return response

    async def call_elsewhere(
        self,
        method: str,
        url: str,
        *,
        waiting: Waiting = nobody,
        content: Callable[[], Any] | None = None,
        receive: Receiver | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer of another host, whatever its status. `content` makes the body anew for each attempt."""

        async def once() -> httpx.Response:
            body = content() if content else None
            request = self._elsewhere.build_request(method, url, headers=headers, content=body)
            return await _once(self._elsewhere, request, receive)

        try:
            return (await send(once, self._retries, waiting=waiting))[0]
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Unreachable("The API named an address that is no URL.") from error


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
    """The JSON object of an answer. Raises `Unreachable` where it is none: this is another server then."""
    try:
        found = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict):
        raise Unreachable(f"What answers at {response.url.copy_with(query=None)} is not an image pipeline's API.")
    return found


def _fault(response: httpx.Response, attempts: int) -> ApiError:
    status = response.status_code
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    code, message = f"http_{status}", f"The API answered {status} {response.reason_phrase}".strip()
    if isinstance(body, dict):
        error = body.get("error")
        if isinstance(error, dict) and error.get("code"):
            code, message = str(error["code"]), str(error.get("message") or message)
        elif isinstance(body.get("message"), str):  # API Gateway's own errors have nothing else
            message = f"{message}: {body['message']}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Refused(status, code, f"{message} (the key: IMGPIPE_API_KEY or --api-key-file)", attempts)
    return (NotFound if status == HTTPStatus.NOT_FOUND else ApiError)(status, code, message, attempts)
