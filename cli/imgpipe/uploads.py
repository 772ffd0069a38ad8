"""Uploading a file so that it becomes one image, whatever goes wrong."""

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
"""How often a presigned upload that the bucket refuses is asked for again: its URL may have run out on the way."""

_SPENT_KEYS = ("image_deleted", "idempotency_key_reused")
"""Errors that another idempotency key does not meet."""


class Way(StrEnum):
    """How files go up."""

    AUTO = "auto"
    POST = "post"
    PRESIGNED = "presigned"


class State(StrEnum):
    """What became of a file."""

    UPLOADED = "uploaded"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a file: its image, or the error."""

    path: Path
    state: State
    image_id: str | None = None
    error: ImgpipeError | None = None


class Bar(Protocol):
    """Shows how far a file is."""

    def sent(self, size: int) -> None:
        """So many bytes more; less, where it begins anew."""

    def waiting(self, seconds: float, why: str) -> None:
        """The next attempt is in so many seconds."""


class Uploader:
    """Uploads files to one API. `again`: also what the journal knows to be there."""

    def __init__(self, client: Client, journal: Journal, *, way: Way, max_post_bytes: int, again: bool) -> None:
        self._client = client
        self._journal = journal
        self._way = way
        self._max_post_bytes = max_post_bytes
        self._again = again

    async def upload(self, file: LocalFile, bar: Bar) -> Outcome:
        """One file. Raises `ImgpipeError`."""
        entry = await self._entry(file)
        if entry.image_id is not None:
            if not self._again and await self._is_there(entry.image_id):
                bar.sent(file.size)
                return Outcome(file.path, State.SKIPPED, entry.image_id)
            entry = self._journal.renew(entry)
        with Body(file, bar.sent) as body:
            for left in (1, 0):
                entry = self._journal.choose(entry, entry.way or self._way_for(file))
                try:
                    image_id = await self._send(body, entry, bar)
                    break
                except ApiError as error:
                    if isinstance(error, Refused) or not _is_final(error):
                        raise
                    # Refused for good: nothing came of this key, or nothing is left of what came of it.
                    entry = self._journal.renew(entry)
                    if not left or not self._is_worth_another_try(error, file):
                        raise
        self._journal.finish(entry, image_id)
        return Outcome(file.path, State.UPLOADED, image_id)

    async def _entry(self, file: LocalFile) -> Entry:
        known = self._journal.unchanged(self._client.api, file)
        if known is not None:
            return known
        return self._journal.begin(self._client.api, file, await asyncio.to_thread(digest, file))

    async def _is_there(self, image_id: str) -> bool:
        """Whether the API still has it: a stack may have been emptied, an image deleted."""
        try:
            image = await self._client.image(image_id)
        except NotFound:
            return False
        return image.error_code != "upload_incomplete"

    def _way_for(self, file: LocalFile) -> Way:
        if self._way is not Way.AUTO:
            return self._way
        # A form carries some letters as %22, %0A and the like, which nobody turns back; JSON carries them all.
        is_mangled = any(letter in '"\\' or letter < " " for letter in file.name)
        return Way.PRESIGNED if file.size > self._max_post_bytes or is_mangled else Way.POST

    def _is_worth_another_try(self, error: ApiError, file: LocalFile) -> bool:
        if error.http_status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and self._way is Way.AUTO:
            # It takes less than it says (API Gateway has a limit of its own): presigned from here on.
            was_posted = self._way_for(file) is Way.POST
            self._max_post_bytes = min(self._max_post_bytes, file.size - 1)
            return was_posted
        return error.http_status == HTTPStatus.GONE or error.code in _SPENT_KEYS

    async def _send(self, body: Body, entry: Entry, bar: Bar) -> str:
        if entry.way == Way.POST:
            return await self._client.post_image(body, entry.idempotency_key, bar.waiting)
        for left in reversed(range(_RESERVATIONS)):
            image_id, reservation = await self._client.reserve(
                body, entry.sha256, entry.idempotency_key, bar.waiting
            )
            if reservation is None:
                return image_id
            answer = await self._client.put(reservation, body, bar.waiting)
            # 412: there is an object, and none but ours can be: an attempt whose answer was lost.
            if answer.is_success or answer.status_code == HTTPStatus.PRECONDITION_FAILED:
                return image_id
            if not left:
                raise _refusal(answer)
        raise AssertionError("the last round returns or raises")


def _is_final(error: ApiError) -> bool:
    return HTTPStatus.BAD_REQUEST <= error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR and (
        error.http_status not in PASSING
    )


def _refusal(answer: httpx.Response) -> ApiError:
    code = re.search(r"<Code>(\w+)</Code>", answer.text)
    reason = f"{answer.status_code} {code[1] if code else answer.reason_phrase}".strip()
    return ApiError(answer.status_code, f"http_{answer.status_code}", f"The bucket answered {reason}.")
