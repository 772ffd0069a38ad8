"""The part of AWS that the emulator offers: what the stack uses, and nothing else.

moto knows some 200 services. Its Batch and Lambda start containers with Docker, its SNS sends requests to any URL.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from moto.core.common_models import CloudFormationModel

SERVICES = frozenset({"cloudformation", "dynamodb", "s3", "secretsmanager", "sqs", "sts"})
"""By the names of moto's backends. `python -m ops.preflight` uses sts."""

RESOURCE_TYPES = frozenset({"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"})
"""What CloudFormation creates here; it passes over the other types."""


class RefusedService:
    """A WSGI application that answers 403 in the place of a service."""

    def __init__(self, service: str | None) -> None:
        self._message = (
            f"The local stack does not offer this part of AWS ({service or 'unknown'}). It offers "
            f"{', '.join(sorted(SERVICES))}; see SERVICES in local/services.py."
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        content_type = environ.get("CONTENT_TYPE", "")
        # SDKs read the error from JSON or XML, depending on the protocol of the service.
        if "json" in content_type:
            text = json.dumps({"__type": "AccessDeniedException", "message": self._message})
        else:
            text = (
                "<ErrorResponse><Error><Code>AccessDenied</Code>"
                f"<Message>{escape(self._message)}</Message></Error></ErrorResponse>"
            )
            content_type = "text/xml"
        body = text.encode()
        start_response("403 Forbidden", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]


def create_application(service: Any) -> Any:
    """Returns the WSGI application for a backend of moto: moto's own, or one that refuses.

    moto calls this with the backend that it has chosen for a request. So the decision cannot differ from moto's own
    reading of host, path, headers and body.
    """
    from moto.moto_server.werkzeug_app import create_backend_app

    if service not in SERVICES:
        return RefusedService(service)
    return create_backend_app(service)


def close_back_doors() -> None:
    """Keeps the offered services from using the others, and moto from finding Docker, in this process."""
    from moto.cloudformation import parsing

    class_of = parsing.resource_class_from_type

    def class_of_offered(resource_type: str) -> type[CloudFormationModel] | None:
        return class_of(resource_type) if resource_type in RESOURCE_TYPES else None

    parsing.resource_class_from_type = class_of_offered  # type: ignore[assignment]
    # Without the package, moto cannot start a container, wherever a Docker engine listens.
    sys.modules["docker"] = None  # type: ignore[assignment]
