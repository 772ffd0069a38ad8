"""The handlers that template.yaml names, in AWS's own runtime: environment, events and responses as on Lambda."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from image_core.model import Status
from tests import pictures
from tests.events import load
from tests.functional import lambda_runtime
from tests.functional.captioners import DEMO_MODEL
from tests.functional.emulator import REGION, Stack, resource
from tests.functional.http_api import HOST, request
from tests.functional.images import image_in
from tests.functional.s3_events import key_in, messages, notification

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
