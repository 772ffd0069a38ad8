"""S3's ObjectRemoved events for versioned buckets, which moto 5.2.5 does not send.

A WSGI application around moto's passes each deletion on and reports it if moto has carried it out.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus
from xml.etree import ElementTree

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True)
class Deletion:
    """One key of a versioned bucket that was deleted.

    `marker_id`: version id of the delete marker that now hides the object. None if a version was removed
    permanently; `version_id` is then its id.
    """

    bucket: str
    key: str
    version_id: str | None
    marker_id: str | None

    @property
    def event_name(self) -> str:
        return "ObjectRemoved:DeleteMarkerCreated" if self.marker_id else "ObjectRemoved:Delete"


def object_removed_event(deletion: Deletion, *, region: str, configuration_id: str, now: float) -> dict[str, Any]:
    """Build the event as S3 sends it. `now` is in seconds since 1970. Keys are form-encoded, except for slashes.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    milliseconds = int(now * 1000) % 1000
    details: dict[str, Any] = {"key": quote_plus(deletion.key, safe="/")}
    if deletion.marker_id:
        details["eTag"] = _EMPTY_ETAG
    details |= {"versionId": deletion.marker_id or deletion.version_id, "sequencer": f"{time.time_ns():018X}"}
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": region,
                "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{milliseconds:03d}Z",
                "eventName": deletion.event_name,
                "userIdentity": {"principalId": "AWS:LOCAL"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": secrets.token_hex(8).upper(), "x-amz-id-2": "local"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": configuration_id,
                    "bucket": {
                        "name": deletion.bucket,
                        "ownerIdentity": {"principalId": "LOCAL"},
                        "arn": f"arn:aws:s3:::{deletion.bucket}",
                    },
                    "object": details,
                },
            }
        ]
    }


class DeletionEvents:
    """Wraps `application`, and calls `on_deletion` after each successful deletion."""

    def __init__(self, application: WSGIApplication, on_deletion: Callable[[Deletion], None]) -> None:
        self._application = application
        self._on_deletion = on_deletion

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _may_delete(environ):
            return self._application(environ, start_response)
        response: dict[str, Any] = {}

        def record_response(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            response.update(status=status, headers={name.lower(): value for name, value in headers})
            return start_response(status, headers, *error)

        body = read_body(self._application(environ, record_response))
        if response["status"].startswith("2"):
            for deletion in deletions(environ, response["headers"], body):
                self._on_deletion(deletion)
        return [body]


def read_body(response: Iterable[bytes]) -> bytes:
    """Read the whole body of a WSGI response, then close it."""
    try:
        return b"".join(response)
    finally:
        if close := getattr(response, "close", None):
            close()


def _may_delete(environ: WSGIEnvironment) -> bool:
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if environ["REQUEST_METHOD"] == "DELETE":
        return not set(query) - {"versionId", "x-id"}
    return environ["REQUEST_METHOD"] == "POST" and "delete" in query


def deletions(environ: WSGIEnvironment, headers: dict[str, str], body: bytes) -> list[Deletion]:
    """The keys that a successful request deleted, from its request and response."""
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8").removeprefix("/")
    subdomain, _, domain = environ.get("HTTP_HOST", "").partition(".")
    # If the endpoint is not an IP address, SDKs put the bucket into the host name: `BUCKET.localhost`.
    bucket, _, key = (subdomain, "", path) if domain.startswith("localhost") else path.partition("/")
    if environ["REQUEST_METHOD"] == "DELETE":
        if not key:
            return []
        version_id = parse_qs(environ.get("QUERY_STRING", "")).get("versionId", [None])[0]
        marker_id = None if version_id else headers.get("x-amz-version-id")
        return [Deletion(bucket, key, version_id, marker_id)]
    return [
        Deletion(bucket, deleted["Key"], deleted.get("VersionId"), deleted.get("DeleteMarkerVersionId"))
        for deleted in _deleted_elements(body)
    ]


def _deleted_elements(body: bytes) -> list[dict[str, str]]:
    """The `<Deleted>` elements of a DeleteObjects response."""
    found = []
    for element in ElementTree.fromstring(body):  # noqa: S314  # moto's own response
        if element.tag.rpartition("}")[2] == "Deleted":
            found.append({child.tag.rpartition("}")[2]: child.text or "" for child in element})
    return found
