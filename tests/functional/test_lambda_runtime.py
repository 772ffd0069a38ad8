"""The handlers that template.yaml names, in AWS's own runtime: environment, events and responses as on Lambda."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from image_core.model import Status
from local.event_source import lambda_event
from tests import pictures
from tests.events import load
from tests.functional import lambda_runtime
from tests.functional.captioners import DEMO_MODEL
from tests.functional.emulator import REGION, Clients, Stack, resource
from tests.functional.http_api import HOST, request
from tests.functional.images import image_in
from tests.functional.s3_events import key_in, messages, notification
from tests.receiver import SECRET, receiver, status
from tests.unit.webhooks.events import bus_event

pytestmark = pytest.mark.skipif(
    lambda_runtime.emulator() is None, reason="sam-cli has no Runtime Interface Emulator for this machine"
)


def environment_of(stack: Stack, **variables: str) -> dict[str, str]:
    return {
        "UPLOADS_BUCKET": stack.uploads_bucket,
        "THUMBNAILS_BUCKET": stack.thumbnails_bucket,
        "IMAGES_TABLE": stack.images_table,
        "STATS_TABLE": stack.stats_table,
        "SEARCH_TABLE": stack.search_table,
        "QUEUE_URL": stack.queue_url,
        "AWS_ENDPOINT_URL": stack.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **variables,
    }


def webhooks_of(stack: Stack, clients: Clients, url: str) -> dict[str, str]:
    """Create the queue and the secret of webhooks, and return the function's own variables."""
    name = f"{stack.event_bus}-webhooks"
    secret = clients.secretsmanager.create_secret(Name=name, SecretString=SECRET)["ARN"]
    queue_url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    return {"WEBHOOK_URL": url, "WEBHOOK_SECRET_ARN": secret, "WEBHOOK_QUEUE_URL": queue_url}


def test_the_api_function_lists_and_accepts_images(stack: Stack, tmp_path: Path) -> None:
    handler = resource("ApiFunction")["Handler"]
    before = image_in(stack.records, Status.SUCCESS)
    with lambda_runtime.running(handler, environment_of(stack), tmp_path / "log") as invoke:
        listed = invoke(request("http_get.json", "/api/images", "limit=1"))
        accepted = invoke(load("http_post_multipart.json"))
        missing = invoke(request("http_get.json", "/nope"))
        schema = invoke(request("http_get.json", "/openapi.json"))
    (image,) = json.loads(listed["body"])["data"]
    image_id = json.loads(accepted["body"])["image_id"]
    assert (listed["statusCode"], listed["isBase64Encoded"]) == (200, False)
    assert image["data"]["image_id"] == before.image_id
    assert (accepted["statusCode"], accepted["headers"]["location"]) == (
        202,
        f"https://{HOST}/api/images/{image_id}",
    )
    sent = base64.b64decode(load("http_post_multipart.json")["body"])
    stored = stack.s3.get_object(Bucket=stack.uploads_bucket, Key=f"uploads/{image_id}/my photo+1 é.png")
    assert stored["Body"].read() in sent
    assert (schema["statusCode"], json.loads(schema["body"])["openapi"][:2]) == (200, "3.")
    assert (missing["statusCode"], json.loads(missing["body"])["error"]["code"]) == (404, "not_found")


def test_the_processor_function_processes_an_s3_message(stack: Stack, tmp_path: Path) -> None:
    (handler,) = resource("ProcessorFunction")["ImageConfig"]["Command"]
    event = notification(stack, "s3_put_space_plus_e_acute.json")
    stack.put(key_in(event), pictures.jpeg(400, 300))
    variables = environment_of(stack, CAPTION_MODEL_DIR=str(DEMO_MODEL))
    with lambda_runtime.running(handler, variables, tmp_path / "log") as invoke:
        response: Any = invoke(messages(event))
    record = stack.the_record()
    assert response == {"batchItemFailures": []}
    assert (record.status, record.key) == (Status.SUCCESS, "some folder/my photo+1 é.jpg")
    assert record.caption
    assert len(stack.thumbnails()) == 3


def test_the_recovery_function_sweeps_on_its_schedule(stack: Stack, tmp_path: Path) -> None:
    handler = resource("RecoveryFunction")["Handler"]
    stack.clock.now_ms = 1_000_000_000_000  # 2001: the function uses the real time
    record = image_in(stack.records, Status.PENDING)
    with lambda_runtime.running(handler, environment_of(stack), tmp_path / "log") as invoke:
        response = invoke(load("schedule.json"))
    assert response == {"never_arrived": 1}
    after = stack.other_records().get(record.image_id)
    assert after is not None and after.status is Status.FAILED


def test_the_webhooks_function_delivers_a_signed_event(stack: Stack, clients: Clients, tmp_path: Path) -> None:
    handler = resource("WebhooksFunction")["Handler"]
    with receiver() as receiving:
        variables = webhooks_of(stack, clients, receiving.url)
        queue_url = variables["WEBHOOK_QUEUE_URL"]
        clients.sqs.send_message(QueueUrl=queue_url, MessageBody=bus_event())
        received = clients.sqs.receive_message(QueueUrl=queue_url, MessageSystemAttributeNames=["All"])["Messages"]
        event = lambda_event(received, queue_arn="arn:aws:sqs:eu-west-1:123456789012:webhooks")
        with lambda_runtime.running(handler, environment_of(stack, **variables), tmp_path / "log") as invoke:
            accepted = invoke(event)
            receiving.respond = status(500)
            refused = invoke(event)
    assert accepted == {"batchItemFailures": []}
    assert refused == {"batchItemFailures": [{"itemIdentifier": received[0]["MessageId"]}]}
    first, second = receiving.requests
    assert first.verified()["type"] == "image.processed"
    assert first.webhook_id == second.webhook_id
    assert "token" not in (tmp_path / "log").read_text()


def test_on_aws_a_url_without_tls_is_refused(stack: Stack, clients: Clients, tmp_path: Path) -> None:
    handler = resource("WebhooksFunction")["Handler"]
    with receiver() as receiving:
        variables = environment_of(stack, **webhooks_of(stack, clients, receiving.url))
        del variables["AWS_ENDPOINT_URL"]
        with lambda_runtime.running(handler, variables, tmp_path / "log") as invoke:
            response = invoke({"Records": []})
        assert response["errorType"] == "InvalidEndpoint"
        assert receiving.requests == []
