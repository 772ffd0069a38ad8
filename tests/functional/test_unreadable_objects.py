"""Objects that S3 will never return to this stack fail at once. A permission that the stack lost fails no image.

moto supports neither SSE-C nor KMS policies nor archives, so the tests plan refusals in S3's wording.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from image_core.keys import derived_image_id
from image_core.model import Status
from image_processor.handler import Processor
from image_recovery.handler import handle
from tests import pictures
from tests.emf import emitted, metric, watched
from tests.functional.captioners import FakeCaptioner
from tests.functional.emulator import Call, Stack, raising
from tests.functional.http_api import Api
from tests.functional.s3_events import failed, messages, notification
from tests.iam.resolved import STACK, observability

KEY = "photo.jpg"
OWN, FOREIGN = "own-account", "999999999999"
"""`refuse` replaces `OWN` with the emulator's account, which differs between moto and MiniStack."""
ROLE = f"arn:aws:sts::{OWN}:assumed-role/image-pipeline-ProcessorRole/image-pipeline"


def refusal(operation: str, status: int, code: str, message: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


def of_head(status: int) -> ClientError:
    return refusal("HeadObject", status, str(status), {400: "Bad Request", 403: "Forbidden"}[status])


def of_get(status: int, code: str, message: str) -> ClientError:
    return refusal("GetObject", status, code, message)


def denied_key(account: str) -> ClientError:
    return of_get(
        403,
        "AccessDenied",
        f"User: {ROLE} is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:{account}:key/1"
        " because no identity-based policy allows the kms:Decrypt action",
    )


SSE_C = of_get(
    400,
    "InvalidRequest",
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to"
    " retrieve the object.",
)
HIDDEN_KEY = of_get(
    403,
    "AccessDenied",
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are"
    " not allowed to access.",
)
ARCHIVED = of_get(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
NO_PERMISSION = of_get(
    403,
    "AccessDenied",
    f"User: {ROLE} is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::uploads/photo.jpg because"
    " no identity-based policy allows the s3:GetObject action",
)
DENIED = of_get(403, "AccessDenied", "Access Denied")
EXPIRED = of_get(400, "ExpiredToken", "The provided token has expired.")

UNREADABLE: dict[str, tuple[ClientError | None, ClientError, str]] = {
    "SSE-C": (of_head(400), SSE_C, "unreadable_object"),
    "a key of another account": (of_head(403), denied_key(FOREIGN), "unreadable_object"),
    "a key that KMS does not show": (of_head(403), HIDDEN_KEY, "unreadable_object"),
    "a key of another account, whose HEAD works": (None, denied_key(FOREIGN), "unreadable_object"),
    "an archive": (None, ARCHIVED, "object_archived"),
}
OPERATORS: dict[str, tuple[ClientError | None, ClientError]] = {
    "no right to read originals": (of_head(403), NO_PERMISSION),
    "a denial without a reason": (of_head(403), DENIED),
    "no right to use a key of this account": (of_head(403), denied_key(OWN)),
    "the same, where HEAD works": (None, denied_key(OWN)),
    "expired credentials": (of_head(400), EXPIRED),
}


@pytest.fixture
def deliver(stack: Stack) -> Callable[[], list[str]]:
    """Send the message about the key to the processor. Return the messages that must be delivered again."""
    processor = Processor(stack.services, lambda _: FakeCaptioner())
    return lambda: failed(processor(messages(notification(stack, key=KEY))))


def refuse(stack: Stack, head: ClientError | None, get: ClientError) -> None:
    """Refuse every read of originals from now on."""
    stack.put(KEY, pictures.jpeg(60, 40))
    if head is not None:
        stack.s3.plan("head_object", *[raising(head)] * 50)
    stack.s3.plan("get_object", *[raising(in_account(stack, get))] * 50)


def in_account(stack: Stack, error: ClientError) -> ClientError:
    assert stack.settings.account_id
    details = error.response["Error"]
    message = details["Message"].replace(OWN, stack.settings.account_id)
    return of_get(error.response["ResponseMetadata"]["HTTPStatusCode"], details["Code"], message)


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unreadable_object_fails_at_once_with_the_reason(
    stack: Stack, deliver: Callable[[], list[str]], case: str
) -> None:
    head, get, code = UNREADABLE[case]
    refuse(stack, head, get)
    assert deliver() == [], "the message was handled"
    record = stack.the_record()
    assert (record.image_id, record.status) == (derived_image_id(stack.uploads_bucket, KEY), Status.FAILED)
    assert record.error is not None
    assert record.error["code"] == code
    assert "arn:" not in record.error["message"]
    assert deliver() == []
    assert stack.the_record() == record, "a duplicate changes nothing"
    body = Api(stack.services).get(f"/api/images/{record.image_id}").json()
    assert (body["status"], body["error"]["code"]) == ("failed", code)


@pytest.mark.parametrize(("account", "code"), [(FOREIGN, "unreadable_object"), (OWN, None)])
def test_a_denial_without_a_reason_is_judged_by_the_kms_key_in_the_head_response(
    stack: Stack, deliver: Callable[[], list[str]], account: str, code: str | None
) -> None:
    def with_its_key(call: Call, arguments: dict[str, Any]) -> Any:
        key = f"arn:aws:kms:eu-west-1:{account}:key/1a".replace(OWN, stack.settings.account_id or "")
        return call(**arguments) | {"SSEKMSKeyId": key}

    refuse(stack, None, DENIED)
    stack.s3.plan("head_object", *[with_its_key] * 50)
    assert deliver() == ([] if code else ["message-0"])
    error = stack.the_record().error
    assert (error and error["code"]) == code


@pytest.mark.parametrize("case", OPERATORS)
def test_a_lost_permission_does_not_fail_an_image_at_once(
    stack: Stack, deliver: Callable[[], list[str]], case: str
) -> None:
    refuse(stack, *OPERATORS[case])
    with_record = OPERATORS[case][0] is None
    assert deliver() == ["message-0"]
    assert [record.status for record in stack.every()] == ([Status.PROCESSING] if with_record else [])


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unreadable_object_counts_as_a_failed_image_and_not_as_a_pipeline_error(
    stack: Stack,
    deliver: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", STACK)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "processor")
    head, get, _ = UNREADABLE[case]
    refuse(stack, head, get)
    deliver()
    metrics = emitted(capsys.readouterr().out)
    alarms = observability().resources("AWS::CloudWatch::Alarm")
    assert sum(metrics[metric(STACK, "ImagesFailed", service="processor")]) == 1
    assert not set(metrics) & watched(alarms["PipelineErrorAlarm"])


def test_dead_letters_and_deadlines_also_fail_an_unreadable_object(stack: Stack) -> None:
    refuse(stack, of_head(400), SSE_C)
    letter = messages(notification(stack, key=KEY), file="sqs_dead_letter.json")
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    assert failed(handle(letter, context, stack.services)) == []
    record = stack.the_record()
    assert record.error is not None and record.error["code"] == "unreadable_object"
    stack.records.reprocess(record, pending_seconds=30)
    stack.clock.advance(31)
    assert handle({}, context, stack.services) == {"unreadable": 1}
    assert stack.the_record().status is Status.FAILED


def test_an_object_is_processed_after_it_was_stored_again_as_readable(
    stack: Stack, deliver: Callable[[], list[str]]
) -> None:
    stack.put(KEY, pictures.jpeg(60, 40))
    stack.s3.plan(
        "head_object", *[raising(of_head(400))] * 2
    )  # the second call checks whether the object still exists
    stack.s3.plan("get_object", *[raising(SSE_C)] * 2)
    assert deliver() == []
    assert stack.the_record().status is Status.FAILED
    stack.put(KEY, pictures.jpeg(60, 40))
    assert deliver() == []
    assert stack.the_record().status is Status.SUCCESS


def test_an_unreadable_object_can_be_deleted(stack: Stack, deliver: Callable[[], list[str]]) -> None:
    refuse(stack, of_head(400), SSE_C)
    deliver()
    assert Api(stack.services).delete(f"/api/images/{stack.the_record().image_id}").status == 204
    assert stack.originals() == set()


def test_an_object_that_was_removed_or_became_readable_is_not_unreadable(
    stack: Stack, deliver: Callable[[], list[str]]
) -> None:
    stack.s3.plan("head_object", raising(of_head(403)))
    assert deliver() == [], "it was removed: nothing to do"
    assert stack.every() == []
    stack.put(KEY, pictures.jpeg(60, 40))
    stack.s3.plan("head_object", raising(of_head(400)))
    assert deliver() == ["message-0"]
    assert deliver() == []
    assert stack.the_record().status is Status.SUCCESS
