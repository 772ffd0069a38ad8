"""`python -m local --sam`: functions behind something that answers as `sam local start-lambda` does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from local import environment
from local.containers import ContainerFunction, free_port, lambda_client
from local.deploy import EventSource, FunctionConfiguration
from local.event_source import SqsPoller
from local.function import InvocationError, WorkerFailed
from local.options import parse

CONFIGURATION = FunctionConfiguration("image_processor.main.handler", 5, 128, {})
Answer = Callable[[str, Any], tuple[dict[str, str], bytes]]


class SamLambda:
    """Answers invocations with what `answer` makes of (function, event)."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _, __: ({}, b"{}")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                function = self.path.split("/")[3]
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers, body = outer.answer(function, event)
                self.send_response(200)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Not a word."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture
def sam_lambda() -> Iterator[SamLambda]:
    server = SamLambda()
    yield server
    server.stop()


def function_at(session: boto3.Session, port: int) -> ContainerFunction:
    client = lambda_client(session, port, {"ProcessorFunction": CONFIGURATION})
    return ContainerFunction("processor", "ProcessorFunction", client)


def test_a_container_is_given_the_event_and_its_answer_is_the_handlers(session, sam_lambda):
    sam_lambda.answer = lambda function, event: ({}, json.dumps({"was": [function, event]}).encode())
    with function_at(session, sam_lambda.port).reserve() as worker:
        assert worker.invoke({"é": 1}) == {"was": ["ProcessorFunction", {"é": 1}]}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b'{"errorType": "ValueError", "errorMessage": "no"}'),
        ({"X-Amz-Function-Error": "Unhandled"}, b'{"errorType": "ValueError", "errorMessage": "no"}'),
        ({}, b""),
    ],
)
def test_a_container_that_fails_or_says_nothing_has_failed(session, sam_lambda, headers, body):
    sam_lambda.answer = lambda _, __: (headers, body)
    with pytest.raises(InvocationError), function_at(session, sam_lambda.port).reserve() as worker:
        worker.invoke({})


def test_no_container_at_all_is_a_worker_that_failed(session):
    with pytest.raises(WorkerFailed), function_at(session, free_port()).reserve() as worker:
        worker.invoke({})


def test_messages_are_deleted_or_come_back_as_the_container_says(session, sam_lambda, sqs, make_queue):
    url, arn = make_queue(VisibilityTimeout="0")
    for body in ("good", "bad"):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def answer(_: str, event: Any) -> tuple[dict[str, str], bytes]:
        bad = [{"itemIdentifier": one["messageId"]} for one in event["Records"] if one["body"] == "bad"]
        return {}, json.dumps({"batchItemFailures": bad}).encode()

    sam_lambda.answer = answer
    source = EventSource("ProcessorFunction", url, arn, batch_size=10, reports_item_failures=True)
    poller = SqsPoller(sqs, source, function_at(session, sam_lambda.port))
    assert poller.poll()
    left = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in left] == ["bad"]


def test_containers_reach_the_emulator_and_keep_lambdas_limit_of_a_request():
    options = parse(["--sam"], {})
    assert options.aws_host == "0.0.0.0"
    assert int(options.parameters["ProcessorTimeoutSeconds"]) >= 60
    variables = {"QUEUE_URL": "http://127.0.0.1:4566/1/queue", "MAX_POST_BYTES": "50000000"}
    configured = {"ApiFunction": FunctionConfiguration("image_api.main.handler", 29, 1024, variables)}
    written = environment.sam_environment(
        configured, endpoint_url="http://127.0.0.1:4566", max_post_bytes="4000000"
    )
    assert written["ApiFunction"] == {
        "QUEUE_URL": "http://host.docker.internal:4566/1/queue",
        "MAX_POST_BYTES": "4000000",
        "AWS_ENDPOINT_URL": "http://host.docker.internal:4566",
        "S3_PUBLIC_ENDPOINT_URL": "http://127.0.0.1:4566",
    }


def test_a_container_takes_no_model_of_this_machine(capsys):
    with pytest.raises(SystemExit):
        parse(["--sam", "--model", "demo"], {})
    assert "built into it" in capsys.readouterr().err
