"""Shared parts of the smoke test's steps: the stack, HTTP calls, polling, and the images of the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from image_core.keys import thumbnail_prefix
from image_core.stores.images import Records
from image_core.stores.objects import Storage
from ops.smoke.report import Observation, SmokeReport

FINISHED = ("success", "failed")
POLL_SECONDS = 0.25
SETTLE_SECONDS = 30.0
"""Deadline for everything but the processing of an image."""

T = TypeVar("T")


class StepFailed(Exception):
    """The stack did not behave as expected. The message says what it did."""


class Skipped(Exception):
    """The step does not apply to this stack. The message says why."""


class Blocked(Exception):
    """The step needs a result that an earlier step did not produce."""


class WebhooksLeft(NamedTuple):
    """How many webhooks are not delivered yet, and how many were given up."""

    waiting: int
    given_up: int


@dataclass(frozen=True)
class Subject:
    """The stack under test. `None` means that it is not known or not reachable.

    `kind`: its name in the report. `thumbnails`: sizes in pixels by name. `cors_origins`: as in Settings.
    `webhooks`: counts those that are left; None if the stack sends none.
    """

    kind: str
    api_url: str
    key: str | None = None
    storage: Storage | None = None
    has_thumbnails_bucket: bool = False
    records: Records | None = None
    thumbnails: dict[str, int] | None = None
    cors_origins: str | None = None
    webhooks: Callable[[], WebhooksLeft] | None = None
    is_aws: bool = False
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the API, which is the origin of its gallery."""
        url = urlsplit(self.api_url)
        return f"{url.scheme}://{url.netloc}"


@dataclass
class UploadedImage:
    """An image of this run. `key` is the key of its object in the uploads bucket."""

    image_id: str
    name: str
    body: bytes
    key: str
    started: float
    data: dict[str, Any] = field(default_factory=dict)
    is_deleted: bool = False

    @property
    def caption(self) -> str:
        return str(self.data["metadata"]["caption"])

    @property
    def caption_model(self) -> str:
        return str(self.data["metadata"]["caption_model"])


class Journey:
    """One run of the steps against one stack."""

    def __init__(
        self,
        subject: Subject,
        client: httpx.Client,
        client_without_key: httpx.Client,
        report: SmokeReport,
        *,
        token: str,
        timeout_seconds: float,
    ) -> None:
        self.subject = subject
        self.client = client
        self.client_without_key = client_without_key
        """Sends no API key."""
        self.report = report
        self.token = token
        self.timeout_seconds = timeout_seconds
        self.images: dict[str, UploadedImage] = {}
        """Images by how they were uploaded: `posted`, `presigned`, `dropped`."""
        self.health: dict[str, Any] = {}
        self.limits: dict[str, int] = {}
        self.stats_before: dict[str, Any] | None = None
        self.others_before: dict[str, Any] = {}
        self.upload_url: str | None = None
        self.has_gateway = False

    # HTTP

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make a call with the API key. Raises `StepFailed` if there is no response."""
        return self.send(self.client, method, path, **options)

    def call_without_key(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make a call without the API key, for presigned URLs and to test refusals."""
        return self.send(self.client_without_key, method, path, **options)

    def send(self, client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise StepFailed(
                f"{method} {_without_query(path)}: no response ({type(error).__name__}: {error})"
            ) from error

    def json(self, method: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
        """The JSON of a response with that status. Raises `StepFailed` for any other response."""
        response = self.call(method, path, **options)
        expect(response, status)
        return body_of(response)

    def image(self, image_id: str) -> dict[str, Any]:
        """The envelope of an image."""
        return self.json("GET", f"/api/images/{image_id}")

    # Polling

    def until(self, poll: Callable[[], T | None], *, what: str, seconds: float = SETTLE_SECONDS) -> T:
        """Call `poll` until its result is true, and return that. Raises `StepFailed` at the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            found = poll()
            if found:
                return found
            if time.monotonic() > deadline:
                raise StepFailed(f"{what}: not within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    # Images

    def need(self, name: str) -> UploadedImage:
        """Return a processed image of this run. Raises `Blocked` if the step that should have created it failed."""
        image = self.images.get(name)
        if image is None or not image.data:
            raise Blocked(f"there is no {name} image that was processed")
        return image

    @property
    def processed(self) -> list[UploadedImage]:
        return [image for image in self.images.values() if image.data]

    def storage(self) -> Storage:
        """The buckets. Raises `Skipped` if they are not reachable."""
        if self.subject.storage is None:
            raise Skipped("the bucket is not known: set --bucket (and --endpoint for an emulator)")
        return self.subject.storage

    def is_removed(self, image: UploadedImage) -> bool:
        """Whether nothing is left of an image: no response, no visible record, no object, no thumbnail."""
        return not self.leftovers(image)

    def leftovers(self, image: UploadedImage) -> list[str]:
        """List what is left of an image. A record that is marked as deleted does not count: the sweep removes
        it."""
        left = []
        if self.call("GET", f"/api/images/{image.image_id}").status_code != 404:
            left.append("the API still shows it")
        if self.subject.records is not None:
            record = self.subject.records.get(image.image_id)
            if record is not None and record.status.value != "deleting":
                left.append(f"its record is {record.status.value}")
        if self.subject.storage is not None:
            if self.subject.storage.head(image.key) is not None:
                left.append("its original is in the bucket")
            if self.subject.has_thumbnails_bucket:
                count = len(self.subject.storage.list_thumbnails(thumbnail_prefix(image.image_id)))
                left += [f"{count} thumbnails are in the bucket"] if count else []
        return left

    # Activity of others at the same time

    def images_of_others(self) -> dict[str, Any]:
        """The newest images of others, with the values that change when someone works on them."""
        listed = self.json("GET", "/api/images", params={"limit": 100})
        mine = {image.image_id for image in self.images.values()}
        return {
            item["data"]["image_id"]: (item["status"], item["data"]["processed_at"], item["data"]["stages"])
            for item in listed["data"]
            if item["data"]["image_id"] not in mine
        }

    def others_are_active(self) -> bool:
        """Whether the newest images of others have changed since this run began."""
        now = self.images_of_others()
        # A full page drops its oldest images when this run adds images.
        has_changed = now != self.others_before and len(now) < 90
        return has_changed or bool(set(now) - set(self.others_before))

    # Findings

    def observe(self, what: str, documented: str, returned: str) -> None:
        self.report.observations.append(Observation(what, documented, returned))


def require(condition: object, message: str) -> None:
    """Raise `StepFailed` unless the condition holds."""
    if not condition:
        raise StepFailed(message)


def expect(response: httpx.Response, status: int, code: str | None = None) -> None:
    """Raise `StepFailed` unless the response has this status and, if `code` is given, this error code."""
    found = error_code(response)
    if response.status_code != status or (code is not None and found != code):
        wanted = f"{status} {code}" if code else str(status)
        raise StepFailed(f"{_described(response)} instead of {wanted}")


def body_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON object in a response. Raises `StepFailed` if there is none."""
    try:
        body = response.json()
    except ValueError as error:
        raise StepFailed(f"{_described(response)}: the body is not JSON: {response.content[:40]!r}") from error
    require(isinstance(body, dict), f"{_described(response)}: the body is not a JSON object")
    return dict(body)


def error_code(response: httpx.Response) -> str | None:
    """The error code of an envelope; None for any other response."""
    try:
        body = response.json()
    except ValueError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("code")) if isinstance(error, dict) else None


def _described(response: httpx.Response) -> str:
    request = response.request
    code = error_code(response)
    request_id = response.headers.get("x-request-id") or response.headers.get("apigw-requestid")
    named = f", request {request_id}" if request_id else ""
    return f"{request.method} {_without_query(str(request.url.path))} returned {response.status_code}" + (
        f" {code}{named}" if code else named
    )


def _without_query(path: str) -> str:
    """A path or URL without its query, which may be a signature."""
    return path.partition("?")[0]
