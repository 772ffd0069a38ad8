"""Id, body and signature of a webhook, and the URLs and secrets that are accepted."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from image_core.model import Status
from image_webhooks.endpoint import Endpoint, InvalidEndpoint, parse_endpoint
from image_webhooks.message import TYPES, NotAnEvent, webhook_of
from image_webhooks.signing import signed_headers, signing_key
from local.template import read_template
from tests.iam.resolved import resolved
from tests.receiver import SECRET
from tests.unit.core.builders import IMAGE_ID
from tests.unit.webhooks.events import bus_event

# Id and body


def test_the_body_is_the_event_in_the_form_of_standard_webhooks() -> None:
    event = bus_event(rev=7)
    webhook = webhook_of(event)
    detail = json.loads(event)["detail"]
    assert json.loads(webhook.body) == {"type": "image.processed", "timestamp": detail["time"], "data": detail}
    assert (webhook.webhook_id, webhook.image_id) == (f"{IMAGE_ID}-7-success", IMAGE_ID)
    assert "ein See é 🦊".encode() in webhook.body


def test_a_repeated_event_has_the_same_id_and_body_and_each_outcome_has_its_own_id() -> None:
    first = bus_event(rev=7)
    repeated = json.dumps(json.loads(first) | {"id": "another", "time": "2026-11-20T11:00:00Z"})
    assert webhook_of(first) == webhook_of(repeated)
    overwritten = bus_event(rev=11)
    failed = bus_event(rev=7, status=Status.FAILED, error={"code": "corrupt_image", "message": "…"})
    reprocessed = bus_event(rev=15, generation=2, finished_generation=2)
    ids = [webhook_of(event).webhook_id for event in (first, overwritten, failed, reprocessed)]
    assert len(set(ids)) == 4
    assert all("." not in webhook_id for webhook_id in ids), "the signed content is separated by dots"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        "{}",
        '{"detail-type": "ImageProcessed", "detail": {}}',
        '{"detail-type": "Other"}',
        "null",
        "[" * 100_000,
        bus_event(caption="\ud800"),
        bus_event(image_id="a\r\nX-Other: b"),
    ],
    ids=lambda message: message[:20],
)
def test_another_message_is_not_an_event(message: str) -> None:
    with pytest.raises(NotAnEvent):
        webhook_of(message)


def test_the_rule_passes_the_events_that_have_a_type() -> None:
    rule = resolved(WebhookUrl="https://a.example").resources("AWS::Events::Rule")["WebhooksRule"]
    assert set(rule["EventPattern"]["detail-type"]) == set(TYPES)


# Signature


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the specification's own libraries."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', keys=[signing_key(SECRET)], time_s=1614265330
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_after_a_rotation_both_secrets_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    secrets = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
    webhook = webhook_of(bus_event())
    headers = signed_headers(
        webhook.webhook_id, webhook.body, keys=[signing_key(one) for one in secrets], time_s=int(time.time())
    )
    for secret in secrets:
        assert Verifier(secret).verify(webhook.body, headers)["type"] == "image.processed"


def test_what_secrets_manager_generates_is_a_secret() -> None:
    """It cannot generate the prefix. Letters and digits are base64 if their number is divisible by four."""
    generated = resolved(WebhookUrl="https://a.example").resources("AWS::SecretsManager::Secret")["WebhookSecret"]
    length = generated["GenerateSecretString"]["PasswordLength"]
    assert generated["GenerateSecretString"]["ExcludePunctuation"] is True and length % 4 == 0
    for character in ("a", "Z", "9"):
        assert signing_key(character * length) == Verifier(f"whsec_{character * length}")._whsecret


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_" + "A" * 89, "whsec_" + "é" * 32]
)
def test_an_unusable_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret is whsec_ and the base64 of 24 to 64") as refused:
        signing_key(secret)
    assert len(secret) < 8 or secret not in str(refused.value)


# URL

HTTPS = [
    "https://a.example",
    "https://hooks.a-b.example:8443/x/y?token=%20a&b=[1]~",
    "https://A.example?x=1",
    "https://127.0.0.1:65535/",
]
LOCAL = ["http://127.0.0.1:9000/hook", "http://localhost:9000", "http://127.8.8.8/", "http://[::1]:9000/"]
REFUSED = [
    "",
    "a.example",
    "ftp://a.example",
    "https://",
    "https:///x",
    "https://a.example:0/",
    "https://a.example:65536/",
    "https://user:password@a.example/",
    "https://a.example/#part",
    "https://a.example/a b",
    "https://a.example/é",
    "https://a.example/\r\nHost: b",
    "https://a.example\\@b.example/",
    "HTTPS://a.example",
    " https://a.example",
    "https://[::1]/",
]
NOT_LOCAL = ["http://a.example/", "http://10.0.0.1/", "http://127.0.0.1.a.example/", "http://0.0.0.0/"]


@pytest.mark.parametrize("url", HTTPS)
def test_an_https_url_is_accepted_by_template_and_code(url: str) -> None:
    assert parse_endpoint(url).is_tls
    assert template_accepts(url)


@pytest.mark.parametrize("url", [*REFUSED, *NOT_LOCAL])
def test_another_url_is_refused_everywhere(url: str) -> None:
    for plain_http in (False, True):
        with pytest.raises(InvalidEndpoint):
            parse_endpoint(url, plain_http=plain_http, in_container=plain_http)
    assert not template_accepts(url) or url == ""


@pytest.mark.parametrize("url", [*LOCAL, "http://host.docker.internal:9000/"])
def test_on_aws_this_machine_cannot_be_called_without_tls(url: str) -> None:
    with pytest.raises(InvalidEndpoint):
        parse_endpoint(url)
    assert not template_accepts(url)
    assert not parse_endpoint(url, plain_http=True, in_container=True).is_tls
    if url not in LOCAL:
        with pytest.raises(InvalidEndpoint):
            parse_endpoint(url, plain_http=True)


def test_the_parts_of_a_url_are_those_to_connect_to_and_to_request() -> None:
    assert parse_endpoint("https://a.example?x=1") == Endpoint(True, "a.example", 443, "/?x=1")
    assert parse_endpoint("http://[::1]/h", plain_http=True) == Endpoint(False, "::1", 80, "/h")


def template_accepts(url: str) -> bool:
    parameter: dict[str, Any] = read_template()["Parameters"]["WebhookUrl"]
    return re.fullmatch(parameter["AllowedPattern"], url) is not None
