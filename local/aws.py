"""Run moto's server in a separate process, empty and in memory: `python -m local.aws --fd N`.

It serves one request at a time, because moto's transactions lose updates if two threads run them. It offers the
services in `local.services` to programs on this machine and to the pages of `--origin`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from moto.s3.models import FakeDeleteMarker, s3_backends
from moto.sqs.models import sqs_backends
from werkzeug.serving import make_server

from local import cors, moto_patches
from local.deletions import Deletion, DeletionEvents, object_removed_event, read_body
from local.gate import Gate, WsgiGate
from local.lifeline import read_until_parent_ends
from local.moto_patches import objects
from local.services import create_application, hide_docker

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class SerializedApplication:
    """Wraps `application`: reads a request's body first, then waits until no other request runs."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._turn = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        if length:
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._turn:
            return [read_body(self._application(environ, start_response))]


def send_object_removed(deletion: Deletion) -> None:
    """Send the event to the queues in the bucket's notification configuration."""
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(deletion.bucket)
    if bucket is None or not bucket.is_versioned or bucket.notification_configuration is None:
        return
    if not deletion.marker_id and deletion.key not in bucket.keys:
        return  # the last version of a key: only in this case moto sends the event itself
    for notification in bucket.notification_configuration.queue:
        if notification.matches(f"s3:{deletion.event_name}", deletion.key):
            region, queue_name = notification.arn.split(":")[3], notification.arn.split(":")[-1]
            event = object_removed_event(deletion, region=region, configuration_id=notification.id, now=time.time())
            sqs_backends[DEFAULT_ACCOUNT_ID][region].send_message(queue_name, json.dumps(event))


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log nothing: only errors are logged."""


def application(create: Callable[[Any], Any] = create_application) -> WSGIApplication:
    """The moto application that `python -m local` serves. `create` returns the application of one of its
    backends."""
    moto_patches.apply()
    # When the last version of a key is deleted, moto describes it in an event. A delete marker lacks these
    # attributes.
    FakeDeleteMarker.etag = ""  # type: ignore[attr-defined]
    FakeDeleteMarker.size = 0  # type: ignore[attr-defined]
    moto: Any = DomainDispatcherApplication(create)
    return SerializedApplication(DeletionEvents(moto, send_object_removed))


def _end(*_: object) -> None:
    """End immediately: Python would take time to free every object."""
    objects.remove_folder()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.aws")
    add = parser.add_argument
    add("--fd", type=int, required=True, action="append", help="a listening socket; may be repeated")
    add("--origin", default=[], action="append", help="origin whose pages may use presigned URLs; may be repeated")
    arguments = parser.parse_args()
    read_until_parent_ends(at_end=objects.remove_folder)
    signal.signal(signal.SIGTERM, _end)
    hide_docker()
    sockets = [socket.socket(fileno=fd) for fd in arguments.fd]
    hosts = ["host.docker.internal", *(listening.getsockname()[0] for listening in sockets)]
    gate = Gate.of(hosts, arguments.origin, page_methods=cors.METHODS | {"OPTIONS"})
    served = WsgiGate(cors.BucketCors(application()), gate)
    servers = []
    for listening in sockets:
        host, port = listening.getsockname()[:2]
        servers.append(
            make_server(host, port, served, threaded=True, request_handler=_QuietHandler, fd=listening.fileno())
        )
    for other in servers[1:]:
        threading.Thread(target=other.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
