"""The receiver in docs/webhooks.md accepts real webhooks and refuses forged ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from image_webhooks.endpoint import parse_endpoint
from image_webhooks.message import webhook_of
from image_webhooks.sending import Request, send_all
from image_webhooks.signing import signed_headers, signing_key
from local.containers import free_port
from local.template import ROOT
from tests.receiver import SECRET
from tests.running_stack import until
from tests.unit.webhooks.events import bus_event

TEXT = (ROOT / "docs/webhooks.md").read_text(encoding="utf-8")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def process(port: int) -> Iterator[subprocess.Popen[str]]:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert "9000" in code
    with subprocess.Popen(
        [sys.executable, "-c", code.replace("9000", str(port))],
        env=os.environ | {"WEBHOOK_SECRET": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.terminate()


def test_the_receiver_accepts_a_webhook_and_refuses_a_forged_one(port: int, process: subprocess.Popen[str]) -> None:
    webhook = webhook_of(bus_event())
    headers = signed_headers(webhook.webhook_id, webhook.body, keys=[signing_key(SECRET)], time_s=int(time.time()))
    endpoint = parse_endpoint(f"http://127.0.0.1:{port}/", plain_http=True)

    def status(body: bytes) -> int | None:
        (response,) = send_all(endpoint, [Request(headers, body)], seconds=5)
        return response.status

    assert until(lambda: status(webhook.body), seconds=20) == 204
    assert status(webhook.body.replace(b"success", b"failed!")) == 401
    assert process.stdout is not None
    assert process.stdout.readline() == f"image.processed {webhook.image_id} ein See é 🦊\n"


def test_the_schedule_on_the_page_is_that_of_the_code() -> None:
    from image_webhooks.schedule import ATTEMPTS, FIRST_WAIT_SECONDS, JITTER, LONGEST_WAIT_SECONDS

    assert (FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, JITTER, ATTEMPTS) == (30, 3600, 0.1, 31)
    for text in ("after 30 seconds", "up to an hour", "10% more or", "31 attempts"):
        assert text in TEXT
