"""The part of AWS that the emulator offers: only the services that the stack uses.

moto has about 200 services. Its Batch and Lambda start containers with Docker, its SNS sends requests to any URL.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SERVICES = frozenset({"dynamodb", "dynamodbstreams", "s3", "secretsmanager", "sqs", "sts"})
"""The services, with the names that moto and MiniStack use. CloudFormation is not included, because it creates
resources of any service."""


def refusal(service: str | None, content_type: str) -> tuple[str, bytes]:
    """Return type and body of the 403 response to a request of `content_type` for a service that is not offered.

    SDKs read the error from JSON or XML, depending on the protocol of the service.
    """
    message = (
        f"The local stack does not offer this part of AWS ({service or 'unknown'}). It offers "
        f"{', '.join(sorted(SERVICES))}, and PutEvents of events; see local/services.py."
    )
    if "json" in content_type:
        return content_type, json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
    error = f"<Error><Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
    return "text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()


class RefusedService:
    """A WSGI application that replaces a service and responds with 403."""

    def __init__(self, service: str | None) -> None:
        self._service = service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        content_type, body = refusal(self._service, environ.get("CONTENT_TYPE", ""))
        start_response("403 Forbidden", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]


def create_application(service: Any) -> Any:
    """The WSGI application for a backend of moto: moto's own, or one that rejects requests.

    moto calls this with the backend that it has chosen for a request. So the decision cannot differ from moto's own
    interpretation of host, path, headers and body.
    """
    from moto.moto_server.werkzeug_app import create_backend_app

    from local import event_bridge

    if service == event_bridge.SERVICE:
        return event_bridge.EventBridgeApplication(_send_message)
    if service not in SERVICES:
        return RefusedService(service)
    return create_backend_app(service)


def _send_message(queue_arn: str, message: str) -> None:
    """Send a message to one of moto's queues."""
    from moto.sqs.models import sqs_backends

    _, _, _, region, account, name = queue_arn.split(":", 5)
    sqs_backends[account][region].send_message(name, message)


def hide_docker() -> None:
    """Prevent moto from using Docker in this process, wherever an engine listens."""
    sys.modules["docker"] = None  # type: ignore[assignment]
