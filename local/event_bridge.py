"""The part of EventBridge that the local stack uses: `PutEvents`, and rules that send events to queues.

Each event becomes a log line. The targets of an emulator's own rules can be any URL; here only its queues.
Rules are kept in memory: `local.deploy` creates them at each start.

This module imports only the standard library, because MiniStack's environment does not have other dependencies.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local import services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SERVICE = "events"
CONTENT_TYPE = "application/x-amz-json-1.1"
_MOST_ENTRIES = 10

SendMessage = Callable[[str, str], None]
"""Sends a message to the queue with an ARN. Raises an error if there is no such queue."""


class _Invalid(Exception):
    """The request is not valid. The message says why."""


@dataclass
class _Rule:
    """A rule. Its pattern has lists of accepted values by the names of an event's fields."""

    pattern: dict[str, list[str]]
    queue_arns: dict[str, str] = field(default_factory=dict)
    """The targets, by their ids."""


class EventBridge:
    """The event buses of the emulator. `send` sends to its queues."""

    def __init__(self, send: SendMessage) -> None:
        self._send = send
        self._rules: dict[tuple[str, str], _Rule] = {}

    def respond(self, target: str, body: bytes) -> tuple[int, str, bytes]:
        """Return status, media type and body of the response. `target` is the request's header `X-Amz-Target`."""
        actions = {
            "AWSEvents.CreateEventBus": self._create_event_bus,
            "AWSEvents.PutEvents": self._put_events,
            "AWSEvents.PutRule": self._put_rule,
            "AWSEvents.PutTargets": self._put_targets,
        }
        if target not in actions:
            return (403, *services.refusal(SERVICE, CONTENT_TYPE))
        try:
            response = actions[target](json.loads(body))
        except _Invalid as error:
            return _invalid(str(error))
        except (ValueError, KeyError, TypeError, AttributeError):
            return _invalid("The request is not valid.")
        return 200, CONTENT_TYPE, json.dumps(response).encode()

    def _create_event_bus(self, request: dict[str, Any]) -> dict[str, Any]:
        """Accept any name: every bus exists."""
        return {"EventBusArn": f"arn:aws:events:us-east-1:000000000000:event-bus/{request['Name']}"}

    def _put_rule(self, request: dict[str, Any]) -> dict[str, Any]:
        pattern = json.loads(request["EventPattern"])
        values = [value for accepted in pattern.values() for value in accepted]
        if not set(pattern) <= {"source", "detail-type"} or not all(isinstance(value, str) for value in values):
            raise _Invalid("The local stack's rules can only compare source and detail-type with values.")
        key = request["EventBusName"], request["Name"]
        known = self._rules.get(key)
        self._rules[key] = _Rule(pattern, known.queue_arns if known else {})
        return {"RuleArn": f"arn:aws:events:us-east-1:000000000000:rule/{'/'.join(key)}"}

    def _put_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        arns = {str(target["Id"]): str(target["Arn"]) for target in request["Targets"]}
        if not all(arn.startswith("arn:aws:sqs:") for arn in arns.values()):
            raise _Invalid("The local stack's rules can only send to queues.")
        self._rules[request["EventBusName"], request["Rule"]].queue_arns.update(arns)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _put_events(self, request: dict[str, Any]) -> dict[str, Any]:
        entries = request["Entries"]
        if not 1 <= len(entries) <= _MOST_ENTRIES:
            raise _Invalid(f"PutEvents accepts 1 to {_MOST_ENTRIES} entries.")
        checked = [(entry, _detail(entry), str(entry["DetailType"])) for entry in entries]
        results = [self._put(entry, detail) for entry, detail, _ in checked]
        sys.stderr.flush()
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put(self, entry: dict[str, Any], detail: dict[str, Any] | None) -> dict[str, str]:
        """Log an event and send it to the queues of its rules. Return its result in the response."""
        if detail is None:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        _log(str(entry["DetailType"]), detail)
        event_id = str(uuid.uuid4())
        for (bus, _), rule in self._rules.items():
            fields = {"source": entry.get("Source"), "detail-type": entry["DetailType"]}
            if bus == entry.get("EventBusName") and all(
                fields[name] in rule.pattern[name] for name in rule.pattern
            ):
                for arn in rule.queue_arns.values():
                    self._deliver(arn, _event(entry, detail, event_id, arn))
        return {"EventId": event_id}

    def _deliver(self, arn: str, event: dict[str, Any]) -> None:
        try:
            self._send(arn, json.dumps(event, ensure_ascii=False))
        except Exception as error:  # the emulator's own errors: the event was accepted all the same, as on AWS
            sys.stderr.write(f"cannot send an event to {arn}: {error!r}\n")


def _detail(entry: dict[str, Any]) -> dict[str, Any] | None:
    """The event's detail, None if it is not a JSON object."""
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        return None
    return detail if isinstance(detail, dict) else None


def _event(entry: dict[str, Any], detail: dict[str, Any], event_id: str, queue_arn: str) -> dict[str, Any]:
    """The event as EventBridge sends it to a target."""
    _, _, _, region, account, _ = queue_arn.split(":", 5)
    time = datetime.fromtimestamp(float(entry["Time"]), UTC) if "Time" in entry else datetime.now(UTC)
    return {
        "version": "0",
        "id": event_id,
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": account,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [],
        "detail": detail,
    }


def _log(detail_type: str, detail: dict[str, Any]) -> None:
    fields = {"image_id": detail.get("image_id"), "caption": detail.get("caption")}
    if isinstance(detail.get("error"), dict):
        fields["error"] = detail["error"].get("code")
    sys.stderr.write(json.dumps({"displayed_as": SERVICE, "message": detail_type, **fields}) + "\n")


def _invalid(message: str) -> tuple[int, str, bytes]:
    return 400, CONTENT_TYPE, json.dumps({"__type": "ValidationException", "message": message}).encode()


class EventBridgeApplication:
    """A WSGI application that handles requests to EventBridge."""

    def __init__(self, send: SendMessage) -> None:
        self._bridge = EventBridge(send)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, content_type, response = self._bridge.respond(environ.get("HTTP_X_AMZ_TARGET", ""), body)
        line = {200: "200 OK", 400: "400 Bad Request", 403: "403 Forbidden"}[status]
        start_response(line, [("Content-Type", content_type), ("Content-Length", str(len(response)))])
        return [response]
