"""`python -m local --sam`: functions behind a server that responds like `sam local start-lambda`."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest

from local import environment
from local.child import Child
from local.containers import ContainerFunction, free_port, lambda_client
from local.deploy import EventSource, FunctionConfiguration
from local.event_source import SqsPoller
from local.function import InvocationError, WorkerFailed
from local.options import parse
from local.ports import Bridge, docker_bridge, listen, listen_for_containers
from local.stack import SAM_PORT
from local.template import ROOT

CONFIGURATION = FunctionConfiguration("image_processor.main.handler", 5, 128, {})
Respond = Callable[[str, Any], tuple[dict[str, str], bytes]]


class SamLambda:
    """Responds to invocations with what `respond` returns for (function, event)."""

    def __init__(self) -> None:
        self.respond: Respond = lambda _, __: ({}, b"{}")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                function = self.path.split("/")[3]
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers, body = outer.respond(function, event)
                self.send_response(200)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

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


def test_a_container_gets_the_event_and_returns_the_handlers_response(session, sam_lambda):
    sam_lambda.respond = lambda function, event: ({}, json.dumps({"was": [function, event]}).encode())
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
def test_a_container_that_fails_or_returns_nothing_has_failed(session, sam_lambda, headers, body):
    sam_lambda.respond = lambda _, __: (headers, body)
    with pytest.raises(InvocationError), function_at(session, sam_lambda.port).reserve() as worker:
        worker.invoke({})


def test_a_missing_container_is_a_failed_worker(session):
    with pytest.raises(WorkerFailed), function_at(session, free_port()).reserve() as worker:
        worker.invoke({})


def test_messages_are_deleted_or_returned_as_the_container_says(session, sam_lambda, sqs, make_queue):
    url, arn = make_queue(VisibilityTimeout="0")
    for body in ("good", "bad"):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def respond(_: str, event: Any) -> tuple[dict[str, str], bytes]:
        bad = [{"itemIdentifier": one["messageId"]} for one in event["Records"] if one["body"] == "bad"]
        return {}, json.dumps({"batchItemFailures": bad}).encode()

    sam_lambda.respond = respond
    source = EventSource("ProcessorFunction", url, arn, batch_size=10, reports_item_failures=True)
    poller = SqsPoller(sqs, source, function_at(session, sam_lambda.port))
    assert poller.poll(threading.Event())
    left = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in left] == ["bad"]


def test_containers_reach_the_emulator_and_keep_lambdas_limit_of_a_request():
    options = parse(["--sam"], {})
    assert options.containers
    variables = {"QUEUE_URL": "http://127.0.0.1:4566/1/queue", "MAX_POST_BYTES": "4000000"}
    configured = {"ApiFunction": FunctionConfiguration("image_api.main.handler", 29, 1024, variables)}
    written = environment.sam_environment(configured, endpoint_url="http://127.0.0.1:4566")
    assert written["ApiFunction"] == {
        "QUEUE_URL": "http://host.docker.internal:4566/1/queue",
        "MAX_POST_BYTES": "4000000",
        "LOCAL_ENDPOINT_URL": "http://host.docker.internal:4566",
        "S3_PUBLIC_ENDPOINT_URL": "http://127.0.0.1:4566",
    }


@pytest.mark.parametrize(
    ("url", "seen_by_containers"),
    [
        ("http://127.0.0.1:4566/000000000000/queue", "http://host.docker.internal:4566/000000000000/queue"),
        ("http://localhost", "http://host.docker.internal"),
        ("http://s3.localhost:4566", "http://host.docker.internal:4566"),
        ("https://[::1]:4566", "https://host.docker.internal:4566"),
        ("http://0.0.0.0:4566", "http://host.docker.internal:4566"),
        ("http://10.0.0.5:4566", "http://10.0.0.5:4566"),
        ("http://emulator", "http://emulator"),
        ("https://sqs.eu-west-1.amazonaws.com/1/queue", "https://sqs.eu-west-1.amazonaws.com/1/queue"),
    ],
)
def test_an_endpoint_in_containers_keeps_its_scheme_port_and_remote_host(url, seen_by_containers):
    assert environment.in_container(url) == seen_by_containers


def test_the_gallery_of_sam_local_may_upload_from_its_port():
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    assert samconfig["default"]["local_start_api"]["parameters"]["port"] == SAM_PORT


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Returns a function that makes `docker network inspect bridge` print this output.

    A dict is the network's configuration.
    """

    def prints(output: Any, interface: str = "docker0") -> None:
        if isinstance(output, dict):
            options = {"com.docker.network.bridge.name": interface}
            output = json.dumps([{"IPAM": {"Config": [output]}, "Options": options}])
        command = tmp_path / "docker"
        command.write_text(f"#!/bin/sh\n[ \"$*\" = 'network inspect bridge' ] && echo '{output}'\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return prints


@pytest.mark.parametrize(
    ("printed", "bridge"),
    [
        ({"Subnet": "172.26.0.0/16", "Gateway": "172.26.0.9"}, Bridge("172.26.0.9", "br0")),
        ({"Subnet": "172.26.0.0/16"}, Bridge("172.26.0.1", "br0")),
        ({}, Bridge("172.17.0.1", "docker0")),
        ("", Bridge("172.17.0.1", "docker0")),
        ("[]", Bridge("172.17.0.1", "docker0")),
        ('[{"IPAM": {"Config": null}}]', Bridge("172.17.0.1", "docker0")),
        ("Error: no such network", Bridge("172.17.0.1", "docker0")),
    ],
)
def test_the_bridge_is_read_from_docker(docker, printed, bridge):
    docker(printed, "br0")
    assert docker_bridge() == bridge


def test_without_docker_the_default_bridge_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert docker_bridge() == Bridge("172.17.0.1", "docker0")


def test_a_bridge_that_is_not_on_this_machine_is_not_used(docker):
    """Docker Desktop's bridge is in a virtual machine, from which containers reach the loopback interface."""
    docker({"Gateway": "192.0.2.77"})
    assert listen_for_containers(0, option="") is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Docker has no bridge on this machine")
def test_the_bridges_address_accepts_only_packets_that_arrive_by_the_bridge(docker):
    """A neighbor can send packets for the bridge's address to this machine, but only by another interface."""
    other = next(name for _, name in socket.if_nameindex() if name != "lo")
    docker({"Gateway": "127.0.0.2"}, interface=other)
    with listen_for_containers(0, option="") as listening, socket.socket() as client:
        assert client.connect_ex(("127.0.0.2", listening.getsockname()[1])) == errno.ECONNREFUSED


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on its loopback interface")
def test_the_emulator_listens_only_on_loopback_and_the_bridge(docker, environment):
    docker({"Gateway": "127.0.0.2"}, interface="lo")
    on_loopback = listen("127.0.0.1", 0, option="")
    port = on_loopback.getsockname()[1]
    sockets = [on_loopback, listen_for_containers(port, option="")]
    fds = [each.fileno() for each in sockets]
    child = Child("aws", "local.aws", [f"--fd={fd}" for fd in fds], environment, pass_fds=fds)
    try:
        for each in sockets:
            each.close()

        def status(address: str, host: str) -> int:
            headers = {"Host": f"{host}:{port}"}
            return httpx.get(f"http://{address}:{port}/", headers=headers, trust_env=False, timeout=60).status_code

        assert status("127.0.0.2", "host.docker.internal") == 200
        assert status("127.0.0.2", "127.0.0.2") == 200
        assert status("127.0.0.2", "evil.example") == 403
        assert status("127.0.0.1", "127.0.0.1") == 200
        with pytest.raises(httpx.ConnectError):
            status("127.0.0.3", "127.0.0.1")
    finally:
        child.stop()


def test_a_container_cannot_use_a_model_of_this_machine(capsys):
    with pytest.raises(SystemExit):
        parse(["--sam", "--model", "demo"], {})
    assert "built into them" in capsys.readouterr().err
