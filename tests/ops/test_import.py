"""`ops import` from one bucket of moto into the uploads bucket of a stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import unquote_plus

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from ops.imports.buckets import MARK, BadSource, Buckets
from ops.imports.objects import Finding, destination_key
from ops.imports.run import MAX_ERRORS_IN_A_ROW, Imported, Plan, import_bucket
from ops.imports.summary import explained, lines
from ops.rate import RateLimit
from ops.reconcile import TooManyErrors
from ops.target import Target
from tests import pictures
from tests.functional.emulator import REGION, Clients, FakeClock, Stack, moto

PICTURE = pictures.png(8, 8)
ODD_KEYS = [
    "a b+c%é%2B.png",
    "deep//folders/./x.png",
    "日本 ?#&=;,:@.png",
    "quote\"'.png",
    "trailing space .png",
    "uploads/img_01kb5q3v8n0h2m4x6c8f0a2d4g/photo.png",
    "n" * 1020 + ".png",
    "é" * 500,
]


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    with moto() as url:
        yield Clients(url)


class Import:
    """A stack, a bucket to import, and the clients of the import."""

    def __init__(self, clients: Clients, *, source_region: str = REGION, **settings: Any) -> None:
        self.stack = Stack(clients, **settings)
        self.s3 = clients.s3
        self.source = self.stack.uploads_bucket.replace("uploads", "photos")
        location: Any = {"LocationConstraint": source_region}
        boto3.client("s3", region_name=source_region, endpoint_url=clients.url).create_bucket(
            Bucket=self.source, CreateBucketConfiguration=location
        )
        session = boto3.Session(region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
        configured = self.stack.settings.model_copy(update={"aws_endpoint_url": clients.url})
        self.target = Target("a stack", configured, session)
        self.buckets = Buckets.connect(self.source, self.target, workers=4)
        self.errors: dict[str, str] = {}
        self.checkpoint = ""

    def put(self, key: str, body: bytes = PICTURE, **extra: Any) -> None:
        self.s3.put_object(Bucket=self.source, Key=key, Body=body, **extra)

    def run(self, *, apply: bool = True, sleep: Callable[[float], None] | None = None, **plan: Any) -> Imported:
        """Import the bucket. Errors are in `errors`, the position in `checkpoint`, also if this raises."""
        done = Imported()
        self.errors = {}
        clock = self.stack.clock
        defaults: dict[str, Any] = {"prefix": "", "max_image_bytes": 50_000_000, "workers": 4}
        import_bucket(
            self.buckets,
            Plan(**(defaults | plan), apply=apply),
            rate=RateLimit(2, now_ms=clock, sleep=sleep or clock.sleep),
            done=done,
            failed=lambda key, error: self.errors.update({key: explained(error)}),
            checkpoint=lambda key: setattr(self, "checkpoint", key),
        )
        return done

    def versions(self) -> dict[str, int]:
        """The number of versions of each key in the uploads bucket."""
        found: dict[str, int] = {}
        for version in self.s3.list_object_versions(Bucket=self.stack.uploads_bucket).get("Versions", []):
            found[version["Key"]] = found.get(version["Key"], 0) + 1
        return found


@pytest.fixture
def imports(clients: Clients) -> Import:
    return Import(clients)


def responding(
    imports: Import, operation: str, code: str, *, status: int, times: int, key: str = "", message: str = ""
) -> list[str]:
    """Let S3 respond with an error to the next calls whose URL or copy source contains `key`.

    Returns a list that grows with the calls that got it.
    """
    refused: list[str] = []

    def respond(request: Any, **_: Any) -> AWSResponse | None:
        source = unquote_plus(request.headers.get("x-amz-copy-source", b"").decode())
        if len(refused) >= times or key not in unquote_plus(request.url) + source:
            return None
        refused.append(request.url)
        body = f"<Error><Code>{code}</Code><Message>{message or code}</Message></Error>".encode()

        class Raw(BytesIO):
            def stream(self, **_: Any) -> Iterator[bytes]:
                yield self.read()

        return AWSResponse(request.url, status, {}, Raw(body))

    for client in {id(one): one for one in (imports.buckets.reader, imports.buckets.writer)}.values():
        client.meta.events.register(f"before-send.s3.{operation}", respond)
    return refused


def test_objects_are_copied_with_any_key_and_their_events_reach_the_queue(imports: Import) -> None:
    for key in ODD_KEYS:
        imports.put(key, Metadata={"camera": "private"}, Tagging="a=b", ContentType="text/html")
    imports.stack.notify_the_queue()

    done = imports.run()

    assert (done.copied, done.errors, imports.errors) == (len(ODD_KEYS), 0, {})
    copies = {destination_key(imports.source, key) for key in ODD_KEYS}
    assert imports.stack.originals() == copies
    for key in copies:
        copied = imports.s3.get_object(Bucket=imports.stack.uploads_bucket, Key=key)
        assert (copied["Body"].read(), copied["ContentType"]) == (PICTURE, "image/png")
        assert list(copied["Metadata"]) == [MARK]
        assert "TagCount" not in copied
    sent = [json.loads(message["Body"]) for message in imports.stack.notifications()]
    named = {unquote_plus(event["Records"][0]["s3"]["object"]["key"]) for event in sent if "Records" in event}
    assert named == copies


def test_a_copy_is_made_only_of_the_object_that_was_listed(imports: Import) -> None:
    imports.put("a.png")
    conditions: dict[str, Any] = {}

    def note(params: dict[str, Any], **_: Any) -> None:
        conditions.update(params)

    for operation in ("GetObject", "CopyObject"):
        imports.buckets.writer.meta.events.register(f"provide-client-params.s3.{operation}", note)
    imports.run()
    etag = imports.s3.head_object(Bucket=imports.source, Key="a.png")["ETag"]
    assert conditions["IfMatch"] == conditions["CopySourceIfMatch"] == etag


def test_without_apply_nothing_is_copied_and_the_cost_is_said(imports: Import) -> None:
    for number in range(3):
        imports.put(f"{number}.png")
    done = imports.run(apply=False)
    assert (done.to_import, done.copied, imports.stack.originals()) == (3, 0, set())
    text = "\n".join(lines(done, apply=False, crosses_regions=True))
    for words in ("3 objects listed, 3 to import (0.00 MB)", "transfer between regions", "in total", "--apply"):
        assert words in text


def test_only_objects_under_the_prefix_are_imported(imports: Import) -> None:
    for key in ("2023/a.png", "2024/a.png", "2024/b.png", "20245.png"):
        imports.put(key)
    assert imports.run(prefix="2024/").copied == 2
    assert imports.stack.originals() == {f"imports/{imports.source}/2024/{name}.png" for name in "ab"}


def test_what_can_be_no_image_is_counted_and_not_copied(imports: Import) -> None:
    imports.put("folder/", b"")
    imports.put("empty.png", b"")
    imports.put("large.png", pictures.jpeg(600, 600))
    imports.put("cold.png", StorageClass="DEEP_ARCHIVE")
    imports.put("tiered.png")
    imports.put("notes.png", b"this is a text")
    imports.put("picture without an extension")
    responding(imports, "GetObject", "InvalidObjectState", status=403, times=1, key="tiered.png")

    done = imports.run(max_image_bytes=1_000)

    assert dict(done.found) == {
        Finding.NEW: 1,
        Finding.EMPTY: 2,
        Finding.TOO_LARGE: 1,
        Finding.ARCHIVED: 2,
        Finding.UNSUPPORTED: 1,
    }
    assert imports.stack.originals() == {f"imports/{imports.source}/picture without an extension"}


def test_objects_that_only_their_uploader_can_decrypt_do_not_end_the_run(imports: Import) -> None:
    for number in range(MAX_ERRORS_IN_A_ROW):
        imports.put(f"secret/{number:03}.png")
    imports.put("z.png")
    message = (
        "The object was stored using a form of Server Side Encryption. "
        "The correct parameters must be provided to retrieve the object."
    )
    responding(imports, "GetObject", "InvalidRequest", status=400, times=10_000, key="/secret/", message=message)

    done = imports.run()

    assert (done.copied, done.errors, done.found[Finding.ENCRYPTED]) == (1, 0, MAX_ERRORS_IN_A_ROW)


def test_formats_that_the_stack_does_not_accept_are_not_copied(clients: Clients) -> None:
    imports = Import(clients, allowed_formats="jpeg")
    imports.put("a.png")
    assert imports.run().found == {Finding.UNSUPPORTED: 1}


def test_a_second_run_copies_only_what_has_changed_since(imports: Import) -> None:
    for name in ("same.png", "replaced.png", "deleted.png"):
        imports.put(name)
    assert imports.run().copied == 3
    imports.put("replaced.png", pictures.png(9, 9))
    imports.put("new.png")
    imports.stack.remove(destination_key(imports.source, "deleted.png"))

    done = imports.run()

    assert dict(done.found) == {Finding.NEW: 1, Finding.CHANGED: 1, Finding.IMPORTED: 1, Finding.DELETED: 1}
    assert imports.versions() == {
        destination_key(imports.source, name): count
        for name, count in {"same.png": 1, "replaced.png": 2, "deleted.png": 1, "new.png": 1}.items()
    }
    assert destination_key(imports.source, "deleted.png") not in imports.stack.originals()


def test_a_run_that_has_nothing_to_do_says_so(imports: Import) -> None:
    imports.put("a.png")
    imports.run()
    *_, copied, conclusion = lines(imports.run(), apply=True, crosses_regions=False)
    assert (copied, conclusion) == ("Objects copied: 0 (0.00 MB).", "Nothing is left to import.")


def test_deleted_images_come_back_only_if_that_is_requested(imports: Import) -> None:
    imports.put("a.png")
    imports.run()
    imports.stack.remove(destination_key(imports.source, "a.png"))
    assert imports.run().copied == 0
    assert imports.run(include_deleted=True).copied == 1
    assert imports.stack.originals() == {destination_key(imports.source, "a.png")}


def test_an_object_that_cannot_be_copied_does_not_stop_the_others(imports: Import) -> None:
    for number in range(8):
        imports.put(f"{number}.png")
    occupied = destination_key(imports.source, "3.png")
    imports.stack.put(occupied, b"of someone else")
    responding(imports, "GetObject", "AccessDenied", status=403, times=1, key="1.png")
    responding(imports, "GetObject", "NoSuchKey", status=404, times=1, key="2.png")
    responding(imports, "CopyObject", "PreconditionFailed", status=412, times=1, key="4.png")
    responding(imports, "CopyObject", "NoSuchKey", status=404, times=1, key="5.png")

    done = imports.run()

    assert (done.copied, done.errors, done.is_complete) == (3, 5, True)
    assert "AccessDenied" in imports.errors["1.png"]
    assert imports.errors["2.png"] == imports.errors["5.png"] == "it was deleted after it was listed"
    assert occupied in imports.errors["3.png"]
    assert imports.errors["4.png"] == "it was replaced after it was listed"
    assert "failed" in "\n".join(lines(done, apply=True, crosses_regions=False))
    assert imports.run().copied == 4, "the next run tries the others again"


def test_throttling_is_retried(imports: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    imports.put("a.png")
    refused = responding(imports, "CopyObject", "SlowDown", status=503, times=4)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # botocore's own pauses
    done = imports.run()
    assert (len(refused), done.copied, done.errors) == (4, 1, 0)


def test_a_run_stops_if_every_copy_fails(imports: Import) -> None:
    for number in range(MAX_ERRORS_IN_A_ROW + 20):
        imports.put(f"{number:03}.png")
    responding(imports, "CopyObject", "AccessDenied", status=403, times=10_000)
    with pytest.raises(TooManyErrors, match=f"{MAX_ERRORS_IN_A_ROW} objects in a row"):
        imports.run()
    assert len(imports.errors) == MAX_ERRORS_IN_A_ROW


def test_expired_credentials_end_the_run_at_once(imports: Import) -> None:
    for number in range(3):
        imports.put(f"{number}.png")
    responding(imports, "HeadObject", "ExpiredToken", status=400, times=1)
    responding(imports, "GetObject", "ExpiredToken", status=400, times=1)
    with pytest.raises(Exception, match="ExpiredToken"):
        imports.run()


def test_an_interrupted_run_continues_and_copies_nothing_twice(imports: Import) -> None:
    keys = [f"{number:03}.png" for number in range(230)]
    for key in keys:
        imports.put(key)
    pauses = imports.stack.clock.slept

    def interrupted(seconds: float) -> None:
        pauses.append(seconds)
        imports.stack.clock.advance(seconds)
        if len(pauses) == 215:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imports.run(sleep=interrupted)
    copied_before = len(imports.stack.originals())
    assert imports.checkpoint == "199.png"
    assert 200 <= copied_before <= 215

    done = imports.run(start_after=imports.checkpoint)

    assert (done.listed, done.copied) == (30, 230 - copied_before)
    assert imports.versions() == {destination_key(imports.source, key): 1 for key in keys}


def test_the_rate_limits_copies(imports: Import) -> None:
    for number in range(5):
        imports.put(f"{number}.png")
    clock: FakeClock = imports.stack.clock
    before_ms = clock.now_ms
    imports.run()
    assert clock.now_ms - before_ms == 2_000, "five copies, two per second"


def test_a_bucket_in_another_region_is_read_there(clients: Clients) -> None:
    imports = Import(clients, source_region="us-west-2")
    imports.put("a.png")
    assert imports.buckets.crosses_regions
    assert imports.buckets.reader.meta.region_name == "us-west-2"
    assert imports.buckets.writer.meta.region_name == REGION
    assert imports.run().copied == 1


def test_a_bucket_that_is_missing_or_belongs_to_the_stack_is_refused(imports: Import) -> None:
    with pytest.raises(BadSource, match="There is no bucket"):
        Buckets.connect("no-such-bucket", imports.target, workers=1)
    with pytest.raises(BadSource, match="belongs to the stack"):
        Buckets.connect(imports.stack.uploads_bucket, imports.target, workers=1)
