"""The services in the emulator's process. None of them can start a container.

Security review, A1: moto's Batch and Lambda would start any container that a caller asks for.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import ports
from local.child import Child
from local.environment import emulator_environment
from local.template import ROOT
from tests.local.not_offered import NOT_OFFERED

Send = Callable[..., tuple[int, str]]


def authorization(service: str) -> dict[str, str]:
    credential = f"Credential=made-up/20261126/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"}


class DockerEngine:
    """A fake Docker engine that records its requests."""

    def __init__(self, path: Path) -> None:
        self.requests: list[str] = []
        self.url = f"unix://{path}"
        recorded = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorded.append(f"{self.command} {self.path}")
                body = json.dumps({"ApiVersion": "1.41"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def address_string(self) -> str:
                return "local"

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing: the recorded requests are enough."""

        self._server = ThreadingUnixStreamServer(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    # A socket's path has at most 104 bytes on macOS, whose folders for temporary files have long names.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        engine = DockerEngine(Path(folder) / "docker.sock")
        yield engine
        engine.stop()


@pytest.fixture(scope="module")
def url(environment: dict[str, str], engine: DockerEngine) -> Iterator[str]:
    """The URL of an emulator in an environment that names a Docker engine."""
    listening = ports.listen("127.0.0.1", 0, option="")
    fd = listening.fileno()
    child = Child("aws", "local.aws", ["--fd", str(fd)], environment | {"DOCKER_HOST": engine.url}, pass_fds=[fd])
    yield ports.url_of(listening)
    listening.close()
    child.stop()


@pytest.fixture(scope="module")
def send(url: str) -> Send:
    def send(method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    return send


def test_the_services_of_the_stack_are_offered(url: str, session: boto3.Session) -> None:
    calls = {
        "dynamodb": "list_tables",
        "s3": "list_buckets",
        "secretsmanager": "list_secrets",
        "sqs": "list_queues",
        "sts": "get_caller_identity",
    }
    for service, call in calls.items():
        client: Any = session.client(service, endpoint_url=url)  # type: ignore[call-overload]
        assert getattr(client, call)()["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(("service", "call"), NOT_OFFERED)
def test_an_sdk_gets_an_error_for_a_service_that_is_not_offered(
    url: str, session: boto3.Session, service: str, call: str
) -> None:
    client: Any = session.client(service, endpoint_url=url)  # type: ignore[call-overload]
    with pytest.raises(ClientError, match="local stack does not offer this part of AWS") as refused:
        getattr(client, call)()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


REFUSED = "does not offer this part of AWS"
JOB = json.dumps({"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition"})
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "expected"),
    [
        ("POST", "/moto-api/reset", {}, "", REFUSED),
        ("POST", "/moto-api/reset", authorization("s3"), "", REFUSED),
        ("POST", "/%6doto-api/reset", {}, "", REFUSED),
        ("GET", "/moto-api/data.json", {}, "", REFUSED),
        ("GET", "/latest/meta-data/iam/security-credentials/", {}, "", REFUSED),
        ("POST", "/v1/submitjob", authorization("batch"), JOB, REFUSED),
        ("POST", "/v1/submitjob", authorization("BATCH"), JOB, REFUSED),
        ("POST", "/v1/submitjob", authorization("batch.us-east-1.amazonaws.com"), JOB, REFUSED),
        ("POST", "/batch_us-east-1/v1/submitjob", {}, JOB, REFUSED),
        ("POST", "/2015-03-31/functions/", authorization("lambda"), "{}", REFUSED),
        ("POST", "/", authorization("ec2") | FORM, "Action=RunInstances&Version=2016-11-15", REFUSED),
        ("POST", "/", FORM, "Action=ListDomains&Version=2009-04-15", REFUSED),
        ("POST", "/", {"X-Amz-Target": "AWSCognitoIdentityService.GetId"}, "{}", REFUSED),
        # These hints disagree, and the offered service treats the request as its own.
        (
            "POST",
            "/",
            authorization("dynamodb") | {"X-Amz-Target": "AWSEvents.ListRules"},
            "{}",
            "Internal Server Error",
        ),
        ("PUT", "/v1/submitjob", authorization("s3"), JOB, "NoSuchBucket"),
        ("PUT", "/v1/submitjob", {}, JOB, "NoSuchBucket"),
        (
            "POST",
            "/",
            authorization("sqs") | {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.RunTask"},
            "{}",
            "Error",
        ),
        (
            "POST",
            "/",
            authorization("batch") | {"Host": "s3.us-east-1.amazonaws.com"},
            "",
            "does not serve the host",
        ),
        ("POST", "/v1/submitjob", {"Host": "batch.us-east-1.amazonaws.com"}, JOB, "does not serve the host"),
        ("POST", "http://batch.us-east-1.amazonaws.com/v1/submitjob", {}, JOB, "does not serve the host"),
    ],
)
def test_no_hint_reaches_a_service_that_is_not_offered(
    send: Send, engine: DockerEngine, method: str, path: str, headers: dict[str, str], body: str, expected: str
) -> None:
    status, text = send(method, path, headers, body)
    assert expected in text
    assert status >= 400
    assert engine.requests == []


def test_batch_starts_no_container(send: Send, engine: DockerEngine) -> None:
    """The complete attack A1, as sent by a program.

    A neighbor who can reach the emulator needs no web page for it.
    """
    job: dict[str, Any] = {
        "image": "busybox",
        "privileged": True,
        "command": ["chroot", "/host", "id"],
        "vcpus": 1,
        "memory": 128,
        "volumes": [{"name": "root", "host": {"sourcePath": "/"}}],
        "mountPoints": [{"sourceVolume": "root", "containerPath": "/host"}],
    }
    role = "arn:aws:iam::123456789012:role/made-up"
    environment = {
        "computeEnvironmentName": "environment",
        "type": "UNMANAGED",
        "state": "ENABLED",
        "serviceRole": role,
    }
    order = [
        {"order": 1, "computeEnvironment": "arn:aws:batch:us-east-1:123456789012:compute-environment/environment"}
    ]
    steps: list[tuple[str, str, dict[str, str], str]] = [
        (
            "iam",
            "/",
            FORM,
            "Action=CreateRole&Version=2010-05-08&RoleName=made-up&AssumeRolePolicyDocument=%7B%7D",
        ),
        ("batch", "/v1/createcomputeenvironment", {}, json.dumps(environment)),
        (
            "batch",
            "/v1/createjobqueue",
            {},
            json.dumps(
                {"jobQueueName": "queue", "state": "ENABLED", "priority": 1, "computeEnvironmentOrder": order}
            ),
        ),
        (
            "batch",
            "/v1/registerjobdefinition",
            {},
            json.dumps({"jobDefinitionName": "definition", "type": "container", "containerProperties": job}),
        ),
        ("batch", "/v1/submitjob", {}, JOB),
    ]
    statuses = [send("POST", path, authorization(service) | more, body)[0] for service, path, more, body in steps]
    assert statuses == [403] * len(steps)
    assert engine.requests == []


def test_cloudformation_creates_nothing(url: str, session: boto3.Session, engine: DockerEngine) -> None:
    cloudformation = session.client("cloudformation", endpoint_url=url)
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "smuggled"}}}}
    with pytest.raises(ClientError, match="does not offer"):
        cloudformation.create_stack(StackName="smuggled", TemplateBody=json.dumps(template))
    assert "QueueUrls" not in session.client("sqs", endpoint_url=url).list_queues(QueueNamePrefix="smuggled")
    assert engine.requests == []


def test_moto_finds_no_docker_engine_in_the_emulators_process(engine: DockerEngine) -> None:
    """Neither the one in DOCKER_HOST nor the one at /var/run/docker.sock."""
    code = (
        "from local.services import hide_docker\n"
        "hide_docker()\n"
        "from moto.utilities.docker_utilities import DockerModel\n"
        "DockerModel().docker_client\n"
    )
    for docker in ({"DOCKER_HOST": engine.url}, {}):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | docker, capture_output=True, text=True
        )
        assert "import of docker halted" in done.stderr
    assert engine.requests == []


def test_the_emulators_environment_names_no_docker_engine(engine: DockerEngine) -> None:
    given = {"DOCKER_HOST": engine.url, "DOCKER_CONTEXT": "other", "DOCKER_CERT_PATH": "/", "PATH": "/bin"}
    environment = emulator_environment(given)
    assert environment == {"PATH": "/bin", "DOCKER_HOST": "unix:///dev/null"}
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError, match=r"refused|socket"):
        client.connect(environment["DOCKER_HOST"].removeprefix("unix://"))
