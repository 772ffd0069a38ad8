"""`PutEvents`, the only EventBridge call that the local stack supports. Each event becomes a log line.

An emulator's own EventBridge has rules, whose targets can be any URL. This one has no rules, so nothing receives
the events.

This module imports only the standard library, because MiniStack's environment does not have other dependencies.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from local import services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SERVICE = "events"
CONTENT_TYPE = "application/x-amz-json-1.1"
_TARGET = "AWSEvents.PutEvents"
_MOST_ENTRIES = 10


def respond(target: str, body: bytes) -> tuple[int, str, bytes]:
    """Return status, media type and body of the response. `target` is the request's header `X-Amz-Target`."""
    if target != _TARGET:
        return (403, *services.refusal(SERVICE, CONTENT_TYPE))
    try:
        entries = json.loads(body)["Entries"]
        results = [_put(entry) for entry in entries]
    except (ValueError, KeyError, TypeError):
        return _invalid("Entries is not a list of events.")
    if not 1 <= len(entries) <= _MOST_ENTRIES:
        return _invalid(f"PutEvents accepts 1 to {_MOST_ENTRIES} entries.")
    for line in filter(None, (line for line, _ in results)):
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    failed = sum("ErrorCode" in result for _, result in results)
    response = {"FailedEntryCount": failed, "Entries": [result for _, result in results]}
    return 200, CONTENT_TYPE, json.dumps(response).encode()


def _put(entry: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
    """Return the log line of an event, and its result in the response."""
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return None, {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    fields = {"image_id": detail.get("image_id"), "caption": detail.get("caption")}
    if isinstance(detail.get("error"), dict):
        fields["error"] = detail["error"].get("code")
    line = json.dumps({"displayed_as": SERVICE, "message": str(entry["DetailType"]), **fields})
    return line, {"EventId": str(uuid.uuid4())}


def _invalid(message: str) -> tuple[int, str, bytes]:
    return 400, CONTENT_TYPE, json.dumps({"__type": "ValidationException", "message": message}).encode()


class PutEvents:
    """A WSGI application that handles `PutEvents`."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, content_type, response = respond(environ.get("HTTP_X_AMZ_TARGET", ""), body)
        line = {200: "200 OK", 400: "400 Bad Request", 403: "403 Forbidden"}[status]
        start_response(line, [("Content-Type", content_type), ("Content-Length", str(len(response)))])
        return [response]
