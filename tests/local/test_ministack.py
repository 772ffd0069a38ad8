"""MiniStack as `python -m local --emulator ministack` runs it: access, services, and stored data."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from local import ports
from local.child import Child
from local.kept_data import InUse, KeptData
from tests import ministack
from tests.local.not_offered import NOT_OFFERED
from tests.local.test_main import Run
from tests.running_stack import until

pytestmark = ministack.needs_ministack

PAGE, FOREIGN_PAGE = "http://127.0.0.1:8000", "https://evil.example"
KEY = "some folder/my photo+1 é %20.jpg"


class Emulator:
    """MiniStack in a separate process, and its clients."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        listening = ports.listen("127.0.0.1", 0, option="")
        fd = listening.fileno()
        env = ministack.environment() | environment
        self.child = Child(
            "aws", "local.ministack", ["--fd", str(fd), *arguments], env, pass_fds=[fd], python=ministack.PYTHON
        )
        self.url = ports.url_of(listening)
        listening.close()

    def client(self, service: Any) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", **keys)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, trust_env=False, timeout=30, **options)

    def end_with_its_parent(self) -> None:
        """Close the child's standard input, as the end of the parent does."""
        self.child.stdin.close()
        until(lambda: self.child.exit_code is not None, seconds=20)

    def kill(self) -> None:
        os.kill(self.child.pid, signal.SIGKILL)
        until(lambda: self.child.exit_code is not None, seconds=20)


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Emulator]:
    emulator = Emulator(*arguments, **environment)
    try:
        yield emulator
    finally:
        emulator.child.stop(grace_seconds=20)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """MiniStack in an environment with unwanted MiniStack settings."""
    with running("--origin", PAGE, AUTH="true", SERVICES="lambda", USE_SSL="1", MINISTACK_HOST="x") as emulator:
        emulator.client("s3").create_bucket(Bucket="photos")
        yield emulator


# Access


@pytest.mark.parametrize(
    "sender",
    [
        {"Origin": FOREIGN_PAGE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Host": "evil.example"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/photos"), ("PUT", "/photos/a"), ("OPTIONS", "/photos/a")])
def test_foreign_pages_are_refused(emulator: Emulator, sender: dict[str, str], method: str, path: str) -> None:
    response = emulator.request(method, path, headers=sender)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_the_gallery_uploads_by_presigned_url_and_reads_the_response(emulator: Emulator) -> None:
    url = emulator.client("s3").generate_presigned_url("put_object", Params={"Bucket": "photos", "Key": KEY})
    path, page = url.removeprefix(emulator.url), {"Origin": PAGE, "Sec-Fetch-Site": "same-site"}
    asked = {"Access-Control-Request-Method": "PUT"}
    preflight = emulator.request("OPTIONS", path, headers=page | asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
    assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, PUT"
    sent = emulator.request("PUT", path, headers=page, content=b"x")
    assert (sent.status_code, sent.headers.get_list("access-control-allow-origin")) == (200, [PAGE])
    assert "ETag" in sent.headers["access-control-expose-headers"]
    assert emulator.request("DELETE", "/photos/a", headers=page).status_code == 403


def test_no_page_may_read_a_programs_response(emulator: Emulator) -> None:
    response = emulator.request("GET", "/")
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control")]


# Services


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/health"),
        ("GET", "/_localstack/health"),
        ("GET", "/_aws/sqs/messages"),
        ("POST", "/_aws/lambda-url/0123456789abcdef0123456789abcdef/"),
        ("GET", "/_alb/balancer/"),
        ("POST", "/2015-03-31/functions/"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("POST", "/?Action=RunInstances&Version=2016-11-15"),
        ("GET", "/iceberg/v1/config"),
    ],
)
def test_ministacks_own_interface_and_other_services_are_refused(
    emulator: Emulator, method: str, path: str
) -> None:
    response = emulator.request(method, path)
    assert response.status_code == 403
    assert "does not offer this part of AWS" in response.text


@pytest.mark.parametrize(("service", "call"), NOT_OFFERED)
def test_an_sdk_gets_an_error_for_a_service_that_is_not_offered(
    emulator: Emulator, service: str, call: str
) -> None:
    with pytest.raises(ClientError, match="does not offer this part of AWS") as refused:
        getattr(emulator.client(service), call)()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("host", ["0123abcd.execute-api.localhost", "d1.cloudfront.localhost"])
def test_no_host_name_reaches_another_service(emulator: Emulator, host: str) -> None:
    assert emulator.request("GET", "/", headers={"Host": host}).status_code >= 400


def test_keys_that_look_like_paths_of_other_services_are_keys(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    for key in ("pool/.well-known/jwks.json", "_ministack/reset", "health"):
        s3.put_object(Bucket="photos", Key=key, Body=key.encode())
        assert s3.get_object(Bucket="photos", Key=key)["Body"].read() == key.encode()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_only_on_its_socket(emulator: Emulator) -> None:
    listening = []
    mine = {str(fd.readlink()) for fd in Path(f"/proc/{emulator.child.pid}/fd").iterdir() if fd.is_symlink()}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if f"socket:[{inode}]" in mine and (state == "0A" or table.startswith("udp")):
                listening.append((table, local))
    port = int(emulator.url.rpartition(":")[2])
    assert listening == [("tcp", f"0100007F:{port:04X}")]


# Stored data


def write(emulator: Emulator) -> None:
    """Write an object with two versions, a record, a message and a secret."""
    s3, sqs, dynamodb = (emulator.client(service) for service in ("s3", "sqs", "dynamodb"))
    s3.create_bucket(Bucket="photos")
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new"):
        s3.put_object(Bucket="photos", Key=KEY, Body=body, ContentType="image/jpeg")
    dynamodb.create_table(
        TableName="images",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="images", Item={"id": {"S": "a"}, "count": {"N": "7"}})
    sqs.send_message(QueueUrl=sqs.create_queue(QueueName="events")["QueueUrl"], MessageBody="waiting")
    emulator.client("secretsmanager").create_secret(Name="key", SecretString="secret")


def read(emulator: Emulator) -> dict[str, Any]:
    s3, sqs = emulator.client("s3"), emulator.client("sqs")
    stored = s3.get_object(Bucket="photos", Key=KEY)
    queue = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    versions = [one["VersionId"] for one in s3.list_object_versions(Bucket="photos")["Versions"]]
    return {
        "object": (stored["Body"].read(), stored["ContentType"]),
        "versions": [s3.get_object(Bucket="photos", Key=KEY, VersionId=v)["Body"].read() for v in versions],
        "versioning": s3.get_bucket_versioning(Bucket="photos")["Status"],
        "record": emulator.client("dynamodb").get_item(TableName="images", Key={"id": {"S": "a"}})["Item"],
        "messages": [message["Body"] for message in sqs.receive_message(QueueUrl=queue)["Messages"]],
        "queue is here": queue.startswith(emulator.url),
        "secret": emulator.client("secretsmanager").get_secret_value(SecretId="key")["SecretString"],
    }


KEPT = {
    "object": (b"new", "image/jpeg"),
    "versions": [b"new", b"old"],
    "versioning": "Enabled",
    "record": {"id": {"S": "a"}, "count": {"N": "7"}},
    "messages": ["waiting"],
    "queue is here": True,
    "secret": "secret",
}


def stop(emulator: Emulator) -> None:
    emulator.child.stop(grace_seconds=20)


def stop_during_a_request(emulator: Emulator) -> None:
    with socket.create_connection(("127.0.0.1", int(emulator.url.rpartition(":")[2]))) as client:
        client.sendall(b"PUT /photos/half HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf")
        emulator.request("GET", "/")
        stop(emulator)


@pytest.mark.parametrize("end", [stop, Emulator.end_with_its_parent, stop_during_a_request])
def test_all_data_survive_a_clean_stop(tmp_path: Path, end: Callable[[Emulator], None]) -> None:
    data = KeptData(tmp_path / "data")
    with running("--data", str(data.folder)) as emulator:
        write(emulator)
        end(emulator)
    with running("--data", str(data.folder)) as emulator:
        assert read(emulator) == KEPT
        assert not data.needs_reconcile


def test_only_the_owner_can_read_the_data(tmp_path: Path) -> None:
    with running("--data", str(tmp_path / "data")) as emulator:
        write(emulator)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert {path.stat().st_mode & 0o077 for path in [*files, tmp_path / "data"]} == {0}


def test_after_a_kill_the_objects_exist_and_the_tables_must_be_reconciled(tmp_path: Path) -> None:
    data = KeptData(tmp_path / "data")
    with running("--data", str(data.folder)) as emulator:
        write(emulator)
        emulator.kill()
    with running("--data", str(data.folder)) as emulator:
        s3 = emulator.client("s3")
        assert s3.get_object(Bucket="photos", Key=KEY)["Body"].read() == b"new"
        assert data.needs_reconcile
    # This holds until it is reconciled, however often it is started and stopped.
    with running("--data", str(data.folder)) as emulator:
        emulator.request("GET", "/")
        assert data.needs_reconcile
        data.reconciled()
    with running("--data", str(data.folder)) as emulator:
        emulator.request("GET", "/")
        assert not data.needs_reconcile


def test_after_a_failed_save_the_tables_must_be_reconciled(tmp_path: Path) -> None:
    data = KeptData(tmp_path / "data")
    with running("--data", str(data.folder)) as emulator:
        write(emulator)
        (data.state / "dynamodb.json").mkdir()  # so that the file cannot be written
    (data.state / "dynamodb.json").rmdir()
    with running("--data", str(data.folder)) as emulator:
        emulator.request("GET", "/")
        assert data.needs_reconcile


def test_two_stacks_cannot_share_the_data(tmp_path: Path) -> None:
    first, second = KeptData(tmp_path / "data"), KeptData(tmp_path / "data")
    first.open()
    with pytest.raises(InUse, match="another local stack"):
        second.open(seconds=0)
    first.close()
    second.open(seconds=0)
    assert not second.needs_reconcile


# As a part of `python -m local`, with fake functions


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_the_stack_and_saves_everything(
    tmp_path: Path, eventually: Callable[..., Any], is_alive: Callable[[int], bool], signum: int
) -> None:
    run = Run(tmp_path, "--emulator", "ministack", "--sweep-seconds", "0.5")
    try:
        ready = eventually(run.ready, seconds=60)
        assert (ready["emulator"], ready["data_folder"]) == ("ministack", str(tmp_path / "sam" / "data"))
        pids = [pid for group in ready["pids"].values() for pid in group]
        sent = {"QueueUrl": ready["queue_url"], "MessageBody": json.dumps({"do": "raise"})}
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        boto3.client("sqs", endpoint_url=ready["aws_endpoint_url"], **keys).send_message(**sent)
        eventually(lambda: "(MiniStack; data are kept in" in run.output.read_text())
        sweep = eventually(lambda: [event for event in run.recorded("recovery") if "Records" not in event])[0]
        assert sweep["resources"][0].split(":")[4] == ready["uploads_bucket_name"].split("-")[-4]
        run.process.send_signal(signum)
        run.process.wait(20)
        eventually(lambda: not any(map(is_alive, pids)), seconds=20)
        assert not (Path(ready["data_folder"]) / "running").exists()
        assert (Path(ready["data_folder"]) / "state" / "sqs.json").exists()
    finally:
        run.process.kill()
