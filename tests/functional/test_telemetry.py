"""Logs and metrics of the real handlers in AWS's own runtime.

A request can be followed from the API to the caption.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from image_core.model import Status
from tests import pictures
from tests.emf import Metric, emitted, lines, metric, plotted
from tests.events import load
from tests.functional import lambda_runtime
from tests.functional.captioners import DEMO_MODEL
from tests.functional.emulator import Clients, Stack, resource
from tests.functional.http_api import request, upload_event
from tests.functional.images import image_in
from tests.functional.s3_events import messages, notification
from tests.functional.test_lambda_runtime import environment_of, webhooks_of
from tests.iam.resolved import STACK, observability
from tests.receiver import receiver, status
from tests.unit.webhooks.events import bus_event

NAME = 'geheim\u2028{"level":"FATAL"}\n12:00:00 api all is well.jpg'
AWS_NAMESPACES = {
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
    },
    "AWS/ApiGateway": {"4xx", "5xx", "Count", "IntegrationLatency", "Latency"},
}
"""The metrics in use that AWS itself publishes. These are the names for HTTP APIs; REST APIs have others."""

pytestmark = pytest.mark.skipif(
    lambda_runtime.emulator() is None, reason="sam-cli has no Runtime Interface Emulator for this machine"
)


class Runtime:
    """Runs the functions one after the other with their variables of the template, and keeps what they printed."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.logs: dict[str, str] = {}

    def call(self, service: str, *events: Any, **variables: str) -> list[Any]:
        function = resource(f"{service.capitalize()}Function")
        handler = function.get("Handler") or function["ImageConfig"]["Command"][0]
        environment = environment_of(
            self._stack,
            POWERTOOLS_METRICS_NAMESPACE=STACK,
            POWERTOOLS_SERVICE_NAME=function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"],
            CAPTION_MODEL_DIR=str(DEMO_MODEL),
        )
        log = self._folder / f"{service}-{len(self.logs)}.log"
        with lambda_runtime.running(handler, environment | variables, log) as invoke:
            responses = [invoke(event) for event in events]
        self.logs[service] = self.logs.get(service, "") + log.read_text()
        return responses


@pytest.fixture
def runtime(stack: Stack, tmp_path: Path) -> Runtime:
    return Runtime(stack, tmp_path)


def about(log: str, image_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(log) if line.get("image_id") == image_id]


def test_image_and_request_can_be_followed_from_the_api_to_the_processor(stack: Stack, runtime: Runtime) -> None:
    event = upload_event(pictures.jpeg(400, 300), "geheim.jpg")
    (accepted,) = runtime.call("api", event)
    image_id, request_id = json.loads(accepted["body"])["image_id"], event["requestContext"]["requestId"]
    record = stack.the_record()
    runtime.call("processor", messages(notification(stack, key=record.key)))

    assert accepted["headers"]["x-request-id"] == record.request_id == request_id
    for service in ("api", "processor"):
        entries = about(runtime.logs[service], image_id)
        assert entries, runtime.logs[service]
        assert {line["request_id"] for line in entries} == {request_id}
        assert {line["service"] for line in entries} == {service}
    (processed,) = [line for line in lines(runtime.logs["processor"]) if line.get("message") == "image processed"]
    assert (processed["image_id"], processed["request_id"], processed["level"]) == (image_id, request_id, "INFO")
    assert all("geheim" not in log for log in runtime.logs.values()), "logs contain no file names"


def test_a_reprocess_is_logged_with_its_own_request(stack: Stack, runtime: Runtime) -> None:
    record = image_in(stack.records, Status.SUCCESS, request_id="the-first")
    event = request("http_post_empty.json", f"/api/images/{record.image_id}/reprocess")
    event["requestContext"]["requestId"] = "the-second"
    runtime.call("api", event)
    assert stack.the_record().request_id == "the-second"


def test_a_hostile_name_cannot_forge_a_log_line(stack: Stack, runtime: Runtime) -> None:
    body = pictures.jpeg(40, 30)[:500]
    event = upload_event(body, "x.jpg")
    form = base64.b64decode(event["body"]).replace(b"x.jpg", NAME.replace('"', "%22").replace("\n", "%0A").encode())
    event["body"] = base64.b64encode(form).decode()
    event["headers"]["content-length"] = str(len(form))
    nowhere = request("http_get.json", f"/api/{NAME}")
    runtime.call("api", event, nowhere)
    dropped = NAME.replace("\n", "\u2029")  # moto does not support such keys
    stack.put(dropped, body)
    runtime.call("processor", messages(notification(stack, key=dropped)), messages(NAME))
    for log in runtime.logs.values():
        own_lines = [
            line for line in log.splitlines() if "geheim" in line or "level" in line or "all is well" in line
        ]
        assert own_lines
        for line in own_lines:
            entries = json.loads(line)
            assert (
                line.isascii() and entries.get("level") != "FATAL" and ("_aws" in entries or "message" in entries)
            )


def test_the_first_call_is_cold_and_the_second_is_not(runtime: Runtime) -> None:
    health = request("http_get.json", "/health")
    runtime.call("api", health, health)
    metrics = emitted(runtime.logs["api"])
    assert metrics[metric(STACK, "ColdStart", service="api")] == [1]
    latency = metric(STACK, "Latency", service="api", route="GET /health", status_class="2xx")
    assert len(metrics[latency]) == 2


def test_unmatched_paths_share_one_metric(runtime: Runtime) -> None:
    unmatched = [request("http_get.json", f"/made/up/{number}") for number in range(3)]
    brewed = request("http_get.json", "/api/images", method="BREW")
    runtime.call("api", *unmatched, brewed)
    latencies = {one for one in emitted(runtime.logs["api"]) if one.name == "Latency"}
    assert latencies == {metric(STACK, "Latency", service="api", route="none", status_class="4xx")}


def test_every_metric_of_the_dashboard_is_emitted_or_aws_own(
    stack: Stack, clients: Clients, runtime: Runtime
) -> None:
    (accepted,) = runtime.call("api", upload_event(pictures.jpeg(400, 300), "photo.jpg"))
    assert accepted["statusCode"] == 202
    key = stack.the_record().key
    (refused,) = runtime.call("api", upload_event(pictures.jpeg(40, 30)), UPLOADS_BUCKET="no-such-bucket")
    assert refused["statusCode"] == 503
    stack.put("broken.jpg", pictures.jpeg(40, 30)[:500])
    stack.put("again.jpg", pictures.jpeg(400, 300))
    dropped = (key, "broken.jpg", "again.jpg")
    runtime.call("processor", *(messages(notification(stack, key=one)) for one in dropped))
    stack.clock.now_ms = 1_000_000_000_000  # 2001: the function uses the real time
    image_in(stack.records, Status.PENDING)
    runtime.call("recovery", load("schedule.json"))
    runtime.call("stream", load("dynamodb_stream.json"))
    with receiver() as receiving:
        receiving.respond = lambda handler: status(200 if len(receiving.requests) == 1 else 500)(handler)
        message = {"messageId": "1", "receiptHandle": "1", "attributes": {"ApproximateReceiveCount": "1"}}
        webhook = {"Records": [{**message, "body": bus_event()}]}
        runtime.call("webhooks", webhook, webhook, **webhooks_of(stack, clients, receiving.url))

    found = {one for log in runtime.logs.values() for one in emitted(log)}
    by_names = {(one.namespace, one.name, frozenset(name for name, _ in one.dimensions)) for one in found}
    (dashboard,) = observability().resources("AWS::CloudWatch::Dashboard").values()
    for one in plotted(json.loads(dashboard["DashboardBody"])):
        if isinstance(one, Metric) and one.namespace != STACK:
            assert one.name in AWS_NAMESPACES[one.namespace], one
        else:
            assert one in found or one in by_names, one
