"""Webhooks, from the event bus to real receivers: over a rule and a queue as in template.yaml, in the emulator."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ConnectionClosedError

from image_core.clock import Clock
from image_core.model import Status
from image_core.stores.events import Event, EventBus
from image_core.stores.queue import Queue
from image_webhooks.endpoint import parse_endpoint
from image_webhooks.handler import Webhooks, handle
from image_webhooks.keys import CACHE_SECONDS, RETRY_SECONDS, SigningKeys
from local.event_source import lambda_event
from tests.emf import emitted, metric
from tests.functional.emulator import Clients, Stack, raising
from tests.iam.resolved import STACK, with_webhooks
from tests.receiver import SECRET, Received, Receiver, receiver, self_signed, status
from tests.unit.webhooks.events import bus_event

LOST = ConnectionClosedError(endpoint_url="https://aws")
OTHER_SECRET = "whsec_" + "b" * 40


class Delivery:
    """The rule, the queue and the secret of one test, and the function that delivers to `url`."""

    def __init__(self, stack: Stack, clients: Clients, url: str) -> None:
        self.stack, self._clients = stack, clients
        sqs, template = clients.sqs, with_webhooks()
        self.letters_url = sqs.create_queue(QueueName=f"{stack.event_bus}-letters")["QueueUrl"]
        letters_arn = self._arn(self.letters_url)
        redrive = template.resources("AWS::SQS::Queue")["WebhooksQueue"]["RedrivePolicy"]
        self.queue_url = sqs.create_queue(
            QueueName=f"{stack.event_bus}-webhooks",
            Attributes={"RedrivePolicy": json.dumps(redrive | {"deadLetterTargetArn": letters_arn})},
        )["QueueUrl"]
        secrets = clients.secretsmanager
        self.secret_arn = secrets.create_secret(Name=f"{stack.event_bus}-secret", SecretString=SECRET)["ARN"]
        stack.arns[self.queue_url] = template.arn("WebhooksQueue")
        stack.arns[self.secret_arn] = template.arn("WebhookSecret")
        self.seconds = 0.0
        self.webhooks = Webhooks(
            endpoint=parse_endpoint(url, plain_http=True),
            keys=SigningKeys(stack.secrets, self.secret_arn, lambda: self.seconds),  # type: ignore[arg-type]
            queue=Queue(stack.sqs, self.queue_url),  # type: ignore[arg-type]
            clock=Clock(),
            jitter=lambda: 0,
            response_seconds=2,
        )

    def _arn(self, url: str) -> str:
        found = self._clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    def create_rule(self) -> None:
        """Create bus and rule, with the event pattern of template.yaml."""
        events, bus = self._clients.events, self.stack.event_bus
        events.create_event_bus(Name=bus)
        pattern = with_webhooks().resources("AWS::Events::Rule")["WebhooksRule"]["EventPattern"]
        events.put_rule(Name="webhooks", EventBusName=bus, EventPattern=json.dumps(pattern))
        target = {"Id": "webhooks", "Arn": self._arn(self.queue_url)}
        events.put_targets(Rule="webhooks", EventBusName=bus, Targets=[target])

    def send(self, *messages: str) -> None:
        """Send messages to the queue."""
        for message in messages:
            self._clients.sqs.send_message(QueueUrl=self.queue_url, MessageBody=message)

    def run(self) -> list[str]:
        """Deliver the visible messages, as Lambda's mapping does. Return the ids of those that failed."""
        sqs = self._clients.sqs
        received = sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        result = handle(lambda_event(received, queue_arn=self._arn(self.queue_url)), self.webhooks)
        failed = [failure["itemIdentifier"] for failure in result["batchItemFailures"]]
        for message in received:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return failed

    @property
    def waits(self) -> list[int]:
        """How long failed messages were hidden, in seconds."""
        return [call["VisibilityTimeout"] for call in self.stack.sqs.arguments("change_message_visibility")]

    def left(self) -> int:
        """The number of messages in the queue, visible or hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._clients.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@pytest.fixture
def receiving() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def delivery(stack: Stack, clients: Clients, receiving: Receiver) -> Delivery:
    return Delivery(stack, clients, receiving.url)


def only(receiving: Receiver) -> Received:
    (request,) = receiving.requests
    return request


def test_an_event_on_the_bus_arrives_signed_once_for_each_delivery_with_one_id(
    stack: Stack, delivery: Delivery, receiving: Receiver
) -> None:
    delivery.create_rule()
    detail = json.loads(bus_event())["detail"]
    event = Event("ImageProcessed", stack.clock(), detail)
    EventBus(stack._plain.events, stack.event_bus).send([event, event])
    assert delivery.run() == []
    first, repeated = receiving.requests
    assert first.verified() == {"type": "image.processed", "timestamp": detail["time"], "data": detail}
    assert first.webhook_id == repeated.webhook_id == detail["event_id"]
    assert first.body == repeated.body
    assert delivery.left() == 0


@pytest.mark.parametrize("code", [302, 400, 410, 429, 500, 503])
def test_a_receiver_that_does_not_accept_a_webhook_gets_it_again_later(
    delivery: Delivery, receiving: Receiver, code: int
) -> None:
    receiving.respond = status(code, Location=receiving.url)
    delivery.send(bus_event())
    assert len(delivery.run()) == len(receiving.requests) == 1
    assert delivery.waits == [31]
    assert delivery.left() == 1


def test_retry_after_is_respected(delivery: Delivery, receiving: Receiver) -> None:
    receiving.respond = status(503, Retry_After="300")
    delivery.send(bus_event())
    delivery.run()
    assert delivery.waits == [301]


def test_one_failed_webhook_does_not_return_the_others(delivery: Delivery, receiving: Receiver) -> None:
    failing = bus_event(rev=2)
    receiving.respond = lambda handler: status(
        500 if handler.headers["webhook-id"] == json.loads(failing)["detail"]["event_id"] else 200
    )(handler)
    delivery.send(bus_event(rev=1), failing, bus_event(rev=3))
    assert len(delivery.run()) == 1
    assert (len(receiving.requests), delivery.left()) == (3, 1)


def test_a_receiver_that_is_slow_gone_or_not_trusted_loses_nothing(
    stack: Stack, clients: Clients, tmp_path: Path
) -> None:
    with receiver() as gone:
        pass
    with receiver() as slow, receiver(certificate=self_signed(tmp_path)) as untrusted:
        slow.respond = lambda handler: handler.receiver.closing.wait(30) and None
        delivery = Delivery(stack, clients, slow.url)
        for number, running in enumerate((slow, gone, untrusted)):
            endpoint = parse_endpoint(running.url, plain_http=True)
            delivery.webhooks = replace(delivery.webhooks, endpoint=endpoint, response_seconds=0.3)
            delivery.send(bus_event(rev=number))
            assert len(delivery.run()) == 1
        assert delivery.left() == 3
        assert untrusted.requests == []


def test_the_time_of_the_next_attempt_follows_from_the_number_of_attempts(
    delivery: Delivery, receiving: Receiver
) -> None:
    receiving.respond = status(500)
    delivery.send(bus_event())
    for attempt in (1, 2, 8, 31):
        received = delivery._clients.sqs.receive_message(
            QueueUrl=delivery.queue_url, MessageSystemAttributeNames=["All"], VisibilityTimeout=0
        )["Messages"]
        record = lambda_event(received, queue_arn="arn:aws:sqs:eu-west-1:1:q")
        record["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(attempt)
        assert handle(record, delivery.webhooks)["batchItemFailures"]
        delivery._clients.sqs.change_message_visibility(
            QueueUrl=delivery.queue_url, ReceiptHandle=received[0]["ReceiptHandle"], VisibilityTimeout=0
        )
    assert delivery.waits == [31, 61, 3601, 1]


def test_a_message_that_is_not_an_event_goes_to_the_dead_letters_without_a_request(
    delivery: Delivery, receiving: Receiver
) -> None:
    delivery.send("junk", bus_event())
    assert len(delivery.run()) == 1
    assert only(receiving).verified()["type"] == "image.processed"
    assert delivery.waits == [1]


def test_if_sqs_does_not_respond_the_message_returns_after_the_timeout_of_its_queue(
    stack: Stack, delivery: Delivery, receiving: Receiver
) -> None:
    receiving.respond = status(500)
    stack.sqs.plan("change_message_visibility", raising(LOST))
    delivery.send(bus_event())
    assert len(delivery.run()) == 1


# The secret


def test_a_rotated_secret_signs_within_minutes_and_the_previous_one_still_verifies(
    delivery: Delivery, receiving: Receiver, clients: Clients
) -> None:
    delivery.send(bus_event(rev=1))
    delivery.run()
    clients.secretsmanager.put_secret_value(SecretId=delivery.secret_arn, SecretString="b" * 40)
    delivery.seconds += CACHE_SECONDS
    delivery.send(bus_event(rev=2))
    delivery.run()
    before, after = receiving.requests
    assert before.verified(SECRET) and after.verified(SECRET) and after.verified(OTHER_SECRET)


def test_while_the_secret_cannot_be_read_known_keys_sign_and_without_keys_webhooks_wait(
    stack: Stack, delivery: Delivery, receiving: Receiver
) -> None:
    stack.secrets.plan("get_secret_value", raising(LOST))
    delivery.send(bus_event(rev=1))
    assert len(delivery.run()) == 1 and receiving.requests == []
    delivery.send(bus_event(rev=2))
    assert delivery.run() == []
    delivery.seconds += CACHE_SECONDS
    stack.secrets.plan("get_secret_value", raising(LOST))
    delivery.send(bus_event(rev=3))
    assert delivery.run() == []
    delivery.send(bus_event(rev=4))
    assert delivery.run() == [], "it is not read again at once"
    delivery.seconds += RETRY_SECONDS
    delivery.send(bus_event(rev=5))
    assert delivery.run() == []
    assert all(request.verified() for request in receiving.requests)


@pytest.mark.parametrize("secret", ["", "not base64!", "whsec_c2hvcnQ="])
def test_an_unusable_secret_sends_nothing_unsigned(
    delivery: Delivery, receiving: Receiver, clients: Clients, secret: str
) -> None:
    clients.secretsmanager.put_secret_value(SecretId=delivery.secret_arn, SecretString=secret or " ")
    delivery.send(bus_event())
    assert len(delivery.run()) == 1
    assert receiving.requests == []


# Logs and metrics


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", STACK)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "webhooks")
    return lambda: capsys.readouterr().out


def test_each_attempt_is_counted_and_neither_secret_nor_url_is_logged(
    delivery: Delivery, receiving: Receiver, printed: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "image_webhooks")
    receiving.respond = lambda handler: status(500 if len(receiving.requests) == 1 else 200)(handler)
    delivery.send(bus_event(rev=1, status=Status.FAILED, error={"code": "corrupt_image", "message": "…"}))
    delivery.run()
    delivery.send(bus_event(rev=2))
    delivery.run()
    metrics = emitted(printed())
    assert metrics[metric(STACK, "WebhooksFailed", service="webhooks")] == [1]
    assert metrics[metric(STACK, "WebhooksDelivered", service="webhooks")] == [1]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("image_webhooks")]
    assert lines == ["webhook not delivered: status 500; retried in 30 s", "webhook delivered"]
    logged = str([vars(record) for record in caplog.records])
    assert "token" not in logged and SECRET.removeprefix("whsec_") not in logged
    assert "-1-failed" in logged and "-2-success" in logged
