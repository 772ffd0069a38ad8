"""Upload a file so that it becomes exactly one image, whatever fails."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import httpx

from imgpipe.client import Client
from imgpipe.errors import ApiError, ImgpipeError, NotFound, Refused
from imgpipe.files import Body, LocalFile, digest
from imgpipe.journal import Entry, Journal
from imgpipe.retries import PASSING

_RESERVATIONS = 3
"""How often to request a new presigned URL if the bucket rejects an upload, because the URL may have expired."""

_SPENT_KEYS = ("image_deleted", "idempotency_key_reused")
"""Errors that do not occur with another idempotency key."""


class Way(StrEnum):
    """How files are uploaded."""

    AUTO = "auto"
    POST = "post"
    PRESIGNED = "presigned"


class State(StrEnum):
    """The outcome of an upload."""

    UPLOADED = "uploaded"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file's upload: its image, or the error."""

    path: Path
    state: State
    image_id: str | None = None
    error: ImgpipeError | None = None


class Bar(Protocol):
    """Shows the progress of a file."""

    def sent(self, size: int) -> None:
        """Add this number of bytes. It is negative if the upload starts again."""

    def on_retry(self, seconds: float, reason: str) -> None:
        """Show when the next attempt is."""


class Uploader:
    """Uploads files to one API. `again`: also files that are in the journal. `skip_existing`: no files whose bytes
    the API already has."""

    def __init__(
        self,
        client: Client,
        journal: Journal,
        *,
        way: Way,
        max_post_bytes: int,
        again: bool,
        skip_existing: bool,
    ) -> None:
        self._client = client
        self._journal = journal
        self._way = way
        self._max_post_bytes = max_post_bytes
        self._again = again
        self._skip_existing = skip_existing

    async def upload(self, file: LocalFile, bar: Bar) -> Outcome:
        """Upload one file. Raises `ImgpipeError`."""
        entry = await self._entry(file)
        if entry.image_id is not None:
            if not self._again and await self._exists(entry.image_id):
                bar.sent(file.size)
                return Outcome(file.path, State.SKIPPED, entry.image_id)
            entry = self._journal.renew(entry)
        if self._skip_existing and (image := await self._client.with_sha256(entry.sha256)) is not None:
            bar.sent(file.size)
            self._journal.finish(entry, image.image_id)
            return Outcome(file.path, State.SKIPPED, image.image_id)
        with Body(file, bar.sent) as body:
            for left in (1, 0):
                entry = self._journal.choose(entry, entry.way or self._way_for(file))
                try:
                    image_id = await self._send(body, entry, bar)
                    break
                except ApiError as error:
                    if isinstance(error, Refused) or not _is_final(error):
                        raise
                    # A permanent refusal: this key created no image, or its image was deleted.
                    entry = self._journal.renew(entry)
                    if not left or not self._can_retry_with_new_key(error, file):
                        raise
        self._journal.finish(entry, image_id)
        return Outcome(file.path, State.UPLOADED, image_id)

    async def _entry(self, file: LocalFile) -> Entry:
        known = self._journal.unchanged(self._client.api, file)
        if known is not None:
            return known
        return self._journal.begin(self._client.api, file, await asyncio.to_thread(digest, file))

    async def _exists(self, image_id: str) -> bool:
        """Whether the API still has the image. The stack may have been emptied, or the image deleted."""
        try:
            image = await self._client.image(image_id)
        except NotFound:
            return False
        return image.error_code != "upload_incomplete"

    def _way_for(self, file: LocalFile) -> Way:
        if self._way is not Way.AUTO:
            return self._way
        # A form encodes some characters as %22 or %0A, and some servers decode these, and encoded words of mails
        # ("=?"). JSON has no such problem.
        is_mangled = "=?" in file.name or any(letter in '"\\%' or letter < " " for letter in file.name)
        return Way.PRESIGNED if file.size > self._max_post_bytes or is_mangled else Way.POST

    def _can_retry_with_new_key(self, error: ApiError, file: LocalFile) -> bool:
        if error.http_status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and self._way is Way.AUTO:
            # The API's real limit is lower than reported (API Gateway has its own): use presigned uploads now.
            was_posted = self._way_for(file) is Way.POST
            self._max_post_bytes = min(self._max_post_bytes, file.size - 1)
            return was_posted
        return error.http_status == HTTPStatus.GONE or error.code in _SPENT_KEYS

    async def _send(self, body: Body, entry: Entry, bar: Bar) -> str:
        if entry.way == Way.POST:
            return await self._client.post_image(body, entry.idempotency_key, bar.on_retry)
        for left in reversed(range(_RESERVATIONS)):
            image_id, reservation = await self._client.reserve(
                body, entry.sha256, entry.idempotency_key, bar.on_retry
            )
            if reservation is None:
                return image_id
            response = await self._client.put(reservation, body, bar.on_retry)
            # 412: the object already exists. It can only be ours, from an attempt whose response was lost.
            if response.is_success or response.status_code == HTTPStatus.PRECONDITION_FAILED:
                return image_id
            if not left:
                raise _refusal(response)
        raise AssertionError("the last round returns or raises")


def _is_final(error: ApiError) -> bool:
    return HTTPStatus.BAD_REQUEST <= error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR and (
        error.http_status not in PASSING
    )


def _refusal(response: httpx.Response) -> ApiError:
    code = re.search(r"<Code>(\w+)</Code>", response.text)
    reason = f"{response.status_code} {code[1] if code else response.reason_phrase}".strip()
    return ApiError(response.status_code, f"http_{response.status_code}", f"The bucket responded with {reason}.")
