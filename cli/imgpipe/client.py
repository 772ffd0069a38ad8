"""A client of the API, with one method per call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from imgpipe.connection import Connection, Receiver, document, not_the_api
from imgpipe.errors import ApiError, NotFound, Unreachable
from imgpipe.files import Body
from imgpipe.images import Image, checked_id
from imgpipe.retries import OnRetry, ignore_retry, retry_after

MAX_POST_BYTES = 4_000_000
"""The default post limit if the API does not report one: a Lambda request is 6 MB in base64, with its headers."""

LARGEST_PAGE = 100
MAX_COUNTED = 10_000
"""The API counts images to review up to this number."""


@dataclass(frozen=True)
class Reservation:
    """A presigned upload. Exactly these headers must be sent."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Page:
    """A page of a list, and the cursor of the next one (None on the last).

    `review_count` is the number of images to review, on the first page of that list.
    """

    images: list[Image]
    next_cursor: str | None
    review_count: int | None = None


OnWarning = Callable[[str], None]


def _ignore_warning(_: str) -> None:
    """Do nothing."""


class Client:
    """Calls the API through a connection. Raises what `Connection.call` raises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def api(self) -> str:
        """The API's URL, without a trailing slash."""
        return self._connection.settings.api

    async def max_post_bytes(self) -> int:
        """The size limit of `post_image`, as reported by the API."""
        response = await self._connection.call("GET", "/")
        limits = document(response).get("limits")
        limit = limits.get("max_post_bytes") if isinstance(limits, dict) else None
        return limit if isinstance(limit, int) and limit > 0 else MAX_POST_BYTES

    async def post_image(self, body: Body, key: str, on_retry: OnRetry = ignore_retry) -> str:
        """Post a file and return the id of its image. The same `key` always gives the same image."""
        response = await self._connection.call(
            "POST",
            "/api/images",
            files=lambda: {"file": (body.file.name, body.rewound(), body.file.media_type)},
            headers={"Idempotency-Key": key},
            on_retry=on_retry,
        )
        return checked_id(document(response).get("image_id"))

    async def reserve(
        self, body: Body, sha256: str, key: str, on_retry: OnRetry = ignore_retry
    ) -> tuple[str, Reservation | None]:
        """Reserve a presigned upload. Returns the image's id, and where to send the file (None: it is already
        there).

        The same `key` always gives the same image, with a new URL.
        """
        file = body.file
        wanted = {"filename": file.name, "content_type": file.media_type, "size": file.size, "sha256": sha256}
        response = await self._connection.call(
            "POST", "/api/uploads", json=wanted, headers={"Idempotency-Key": key}, on_retry=on_retry
        )
        parsed = document(response)
        image_id = checked_id(parsed.get("image_id"))
        if response.status_code == HTTPStatus.OK:
            return image_id, None
        upload = parsed.get("upload")
        if not isinstance(upload, dict) or not isinstance(upload.get("headers"), dict):
            raise Unreachable("The API's response has no `upload`.")
        headers = {str(name): str(value) for name, value in upload["headers"].items()}
        if not any(name.lower() == "content-length" for name in headers):
            headers["Content-Length"] = str(file.size)
        return image_id, Reservation(str(upload.get("method") or "PUT"), _text(upload, "url"), headers)

    async def put(self, reservation: Reservation, body: Body, on_retry: OnRetry = ignore_retry) -> httpx.Response:
        """Send a file to the URL of a reservation, and return the bucket's response, with any status."""
        return await self._connection.call_elsewhere(
            reservation.method,
            reservation.url,
            content=body.chunks,
            headers=reservation.headers,
            on_retry=on_retry,
        )

    async def image(self, image_id: str) -> Image:
        """Read one image."""
        return (await self.poll(image_id))[0]

    async def poll(self, image_id: str) -> tuple[Image, float | None]:
        """Read one image, and the API's `Retry-After` in seconds (None if there is none)."""
        response = await self._connection.call("GET", _path(image_id))
        return _image(response, image_id), retry_after(response)

    async def images(
        self, *, page: int = LARGEST_PAGE, on_warning: OnWarning = _ignore_warning, **filters: str | None
    ) -> AsyncIterator[Image]:
        """All images that match the filters of `pages`, in its order."""
        async for found in self.pages(limit=page, on_warning=on_warning, **filters):
            for image in found.images:
                yield image

    async def pages(
        self,
        *,
        limit: int = LARGEST_PAGE,
        cursor: str | None = None,
        on_warning: OnWarning = _ignore_warning,
        **filters: str | None,
    ) -> AsyncIterator[Page]:
        """Pages of images that match the filters (`status`, `q`, `created_after`, `created_before`, `sha256`,
        `review`): newest first, with `order="oldest"` oldest first, or with `review` the lowest confidence first.

        They begin at `cursor`, and may be empty. `on_warning` is called once for each warning about the result.
        """
        parameters: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        parameters["limit"] = min(limit, LARGEST_PAGE)
        warned: set[str] = set()
        while True:
            if cursor is not None:
                parameters["cursor"] = cursor
            response = await self._connection.call("GET", "/api/images", params=parameters)
            parsed = document(response)
            warnings = parsed.get("warnings", [] if "q" not in parameters else None)
            if not isinstance(parsed.get("data"), list):
                raise not_the_api(response)
            if not isinstance(warnings, list):
                # An API of an earlier version ignores `q`, and returns all images.
                raise ApiError(response.status_code, "no_search", "This API cannot search. Update the stack.")
            if "review" in parameters and "review_count" not in parsed:
                raise ApiError(
                    response.status_code, "no_review", "This API has no list of images to review. Update the stack."
                )
            for warning in map(str, warnings):
                if warning not in warned:
                    warned.add(warning)
                    on_warning(warning)
            cursor = parsed.get("next_cursor") or None
            count = parsed.get("review_count")
            yield Page(
                [Image(item if isinstance(item, dict) else {}) for item in parsed["data"]],
                cursor,
                count if isinstance(count, int) else None,
            )
            if cursor is None:
                return

    async def with_sha256(self, sha256: str) -> Image | None:
        """The newest image with these bytes that has not failed. None if there is none."""
        async for image in self.images(page=10, sha256=sha256):
            if image.metadata.get("sha256") != sha256:
                return None  # an API of an earlier version, which ignores the filter
            if image.status != "failed":
                return image
        return None

    async def stats(self) -> dict[str, Any]:
        """Read the API's statistics."""
        response = await self._connection.call("GET", "/api/stats")
        found = document(response)
        if "total" not in found:
            raise not_the_api(response)
        return found

    async def delete(self, image_id: str) -> None:
        """Delete an image."""
        try:
            await self._connection.call("DELETE", _path(image_id))
        except NotFound as error:
            if error.attempts == 1:
                raise
            # An earlier attempt deleted it, and only its response was lost.

    async def reprocess(self, image_id: str, stage: str = "all", *, force: bool = False) -> Image:
        """Process an image again. `stage` is `all`, `thumbnails` or `caption`; `force` computes the caption."""
        parameters = {"stage": stage} | ({"force": "true"} if force else {})
        response = await self._connection.call("POST", f"{_path(image_id)}/reprocess", params=parameters)
        return _image(response, image_id)

    async def thumbnail(self, image_id: str, size: str, receive: Receiver) -> None:
        """Pass the response with a thumbnail's bytes to `receive`. If the connection is lost, it starts again."""
        await self._connection.call(
            "GET",
            f"{_path(image_id)}/thumbnails/{quote(size, safe='')}",
            receive=receive,
            headers={"Accept": "*/*"},
        )

    async def original(self, image_id: str, receive: Receiver) -> None:
        """Like `thumbnail`, for the uploaded file."""
        response = await self._connection.call("GET", f"{_path(image_id)}/original")
        if not response.has_redirect_location:
            raise Unreachable("The API's response has no URL of the original.")
        url = str(response.url.join(response.headers["Location"]))
        got = await self._connection.call_elsewhere("GET", url, receive=receive)
        if got.status_code != HTTPStatus.OK:
            raise ApiError(
                got.status_code, f"http_{got.status_code}", f"The bucket responded with {got.status_code}."
            )


def _path(image_id: str) -> str:
    return f"/api/images/{quote(image_id, safe='')}"


def _image(response: httpx.Response, image_id: str) -> Image:
    """The image in a response about `image_id`."""
    image = Image(document(response))
    if image.image_id != image_id:
        raise Unreachable(f"The response is about {image.image_id}, the request was about {image_id}.")
    return image


def _text(parsed: dict[str, Any], name: str) -> str:
    found = parsed.get(name)
    if not isinstance(found, str):
        raise Unreachable(f"The API's response has no `{name}`.")
    return found
