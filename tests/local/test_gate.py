"""The requests that the local servers accept."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from samcli.lib.utils.stream_writer import StreamWriter
from samcli.local.lambda_service.local_lambda_http_service import LocalLambdaHttpService

from local.cors import METHODS
from local.gate import Gate, Request, in_url, page_origins
from local.sam import guard_servers, parse

PAGE, FOREIGN_PAGE = "https://gallery.example", "https://evil.example"
OWN = "127.0.0.1:8000"

API = Gate.of(["127.0.0.1"], [PAGE], has_pages=True)
EMULATOR = Gate.of(["host.docker.internal", "172.17.0.1"], page_origins("127.0.0.1", 8000), page_methods=METHODS)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LocalHost:8000", "[::1]:8000", "bucket.localhost:4566", "127.0.0.1:"]
)
@pytest.mark.parametrize("gate", [API, EMULATOR])
def test_the_names_of_this_machine_are_accepted(gate: Gate, host: str) -> None:
    assert gate.refusal(Request("DELETE", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "127.0.0.1:8000, evil.example",
        "0.0.0.0:8000",
        "192.168.1.7:8000",
        "",
        None,
    ],
)
@pytest.mark.parametrize("gate", [API, EMULATOR])
def test_no_other_host_is_served(gate: Gate, host: str | None) -> None:
    assert "does not serve the host" in (gate.refusal(Request("GET", host)) or "")


def test_containers_may_use_docker_names_of_this_machine() -> None:
    for host in ("host.docker.internal:4566", "172.17.0.1:4566"):
        assert EMULATOR.refusal(Request("POST", host)) is None
        assert API.refusal(Request("POST", host))


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_on_all_interfaces_any_address_is_served_but_no_foreign_name(wildcard: str) -> None:
    gate = Gate.of([wildcard], [], has_pages=True)
    mine = socket.gethostname()
    for host in ("192.168.1.7:8000", "[fe80::1]:8000", mine, f"{mine}.local:8000"):
        assert gate.refusal(Request("GET", host)) is None
    assert gate.refusal(Request("GET", "evil.example:8000"))
    assert gate.refusal(Request("POST", "192.168.1.7:8000", origin=FOREIGN_PAGE))
    assert gate.refusal(Request("POST", "192.168.1.7:8000", origin="http://192.168.1.7:8000")) is None


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", [FOREIGN_PAGE, "null", "http://127.0.0.1:8001", "https://127.0.0.1:8000", "http://127.0.0.1", ""]
)
def test_pages_of_other_origins_are_refused(method: str, origin: str) -> None:
    assert "may not send requests" in (API.refusal(Request(method, OWN, origin)) or "")
    assert "may not send requests" in (EMULATOR.refusal(Request(method, "127.0.0.1:4566", origin)) or "")


def test_the_apis_own_pages_may_call_it_through_any_port() -> None:
    assert API.refusal(Request("DELETE", OWN, f"http://{OWN}", "same-origin")) is None
    assert API.refusal(Request("POST", "localhost:9000", "http://localhost:9000", "same-origin")) is None
    assert API.refusal(Request("POST", OWN, PAGE, "cross-site")) is None


def test_the_emulator_has_no_pages_of_its_own() -> None:
    assert EMULATOR.refusal(Request("PUT", "127.0.0.1:4566", "http://127.0.0.1:4566", "same-origin"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_gallery_may_only_upload_to_the_emulator(host: str) -> None:
    for method in ("GET", "HEAD", "PUT"):
        assert EMULATOR.refusal(Request(method, "127.0.0.1:4566", f"http://{host}:8000", "same-site")) is None
    for method in ("POST", "DELETE"):
        assert "Use the API" in (EMULATOR.refusal(Request(method, "127.0.0.1:4566", f"http://{host}:8000")) or "")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_without_an_origin_another_site_may_only_read(site: str) -> None:
    """A link to the gallery, or a picture from the bucket: the other page cannot read the response."""
    assert API.refusal(Request("GET", OWN, fetch_site=site)) is None
    assert "another site" in (API.refusal(Request("POST", OWN, fetch_site=site)) or "")
    assert API.refusal(Request("POST", OWN, fetch_site="none")) is None


def test_an_asterisk_allows_every_page() -> None:
    assert Gate.of([], ["*"]).refusal(Request("POST", OWN, FOREIGN_PAGE, "cross-site")) is None


def test_an_ipv6_address_is_in_brackets() -> None:
    assert (in_url("::1"), in_url("MyMachine")) == ("[::1]", "mymachine")


ANY_PAGE = ["--served-host", "0.0.0.0", "--origin", "*"]
"""The options of `make sam-local`, given `--host 0.0.0.0 --parameter CorsOrigins=*`, for both of SAM's servers."""
INVOCATION = "/2015-03-31/functions/ApiFunction/invocations"


@pytest.fixture
def sam_lambda(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FlaskClient, list[str]]]:
    """The server of `sam local start-lambda` behind its gate, and the functions that it has invoked."""
    invoked: list[str] = []

    def invoke(name: str, *_: object, stdout: StreamWriter, **__: object) -> None:
        invoked.append(name)
        stdout.write_str("{}")

    runner = SimpleNamespace(is_debugging=lambda: False, get_function=lambda *_: None, invoke=invoke)
    service = LocalLambdaHttpService(runner, port=0, host="127.0.0.1")
    service.create()
    monkeypatch.setattr(Flask, "__call__", Flask.__call__)  # so that monkeypatch restores it
    gate, _ = parse([*ANY_PAGE, "local", "start-lambda"])
    guard_servers(gate)
    yield service._app.test_client(), invoked
    service.executor.shutdown()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN_PAGE},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example:9000"},
        {"Host": "192.168.1.7:9000"},
    ],
    ids=str,
)
def test_a_page_cannot_invoke_a_function_behind_sam(
    sam_lambda: tuple[FlaskClient, list[str]], headers: dict[str, str]
) -> None:
    client, invoked = sam_lambda
    assert client.post(INVOCATION, headers={"Host": "127.0.0.1:9000"} | headers, data="{}").status_code == 403
    assert invoked == []


def test_the_stack_can_invoke_a_function_behind_sam(sam_lambda: tuple[FlaskClient, list[str]]) -> None:
    client, invoked = sam_lambda
    assert client.post(INVOCATION, headers={"Host": "127.0.0.1:9000"}, data="{}").status_code == 200
    assert invoked == ["ApiFunction"]


def test_the_api_behind_sam_accepts_its_own_pages_and_configured_ones() -> None:
    gate, command = parse(["--served-host", "myhost", "--origin", PAGE, "local", "start-api", "--port", "8000"])
    assert command == ["local", "start-api", "--port", "8000"]
    for origin in ("http://myhost:8000", PAGE):
        assert gate.refusal(Request("POST", "myhost:8000", origin)) is None
    assert gate.refusal(Request("POST", "myhost:8000", FOREIGN_PAGE))


def test_the_gate_guards_sams_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flask, "__call__", Flask.__call__)  # so that monkeypatch restores it
    guard_servers(API)
    application = Flask("sam")
    application.add_url_rule("/", view_func=lambda: "invoked", methods=["POST"])
    client = application.test_client()
    assert client.post("/", headers={"Host": OWN}).text == "invoked"
    refused = client.post("/", headers={"Host": OWN, "Origin": FOREIGN_PAGE})
    assert (refused.status_code, refused.json["error"]["code"]) == (403, "forbidden")
