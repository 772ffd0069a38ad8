"""The report of a smoke test, including responses by API Gateway itself, which no emulator returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ops.options import parse
from ops.smoke.gateway import error_responses
from ops.smoke.journey import Journey, StepFailed, Subject
from ops.smoke.model import described_model
from ops.smoke.report import Observation, Outcome, SmokeReport, StepResult

API = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
SECRETS = {"the-key-of-the-api": "(key)", "stack-uploads-123456789012-eu-west-1": "(uploads bucket)"}


def envelope(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"status": "error", "data": None, "error": {"code": code, "message": "…"}}
    return httpx.Response(status, json=body, headers={"X-Request-Id": "id", **headers})


def gateway(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"message": message}, headers={"apigw-requestid": "id"})


def behind_api_gateway(request: httpx.Request) -> httpx.Response:
    """Respond as API Gateway does according to docs/api.md."""
    size, path = len(request.content), request.url.path
    if request.headers["host"] == "another.example":
        return gateway(403, "Forbidden")
    if size > 10_000_000:
        return gateway(413, "Request Entity Too Large")
    if size * 4 / 3 > 6_000_000:
        return gateway(500, "Internal Server Error")
    if request.method == "PUT":
        return envelope(405, "method_not_allowed", Allow="GET, HEAD, POST")
    if request.method == "POST":
        limit = 4_000_000 if path == "/api/images" else 65_536
        return envelope(413, "too_large") if size > limit else envelope(400, "unsupported_format")
    return envelope(404, "not_found")


def journey(respond: Callable[[httpx.Request], httpx.Response]) -> Journey:
    client = httpx.Client(base_url=API, transport=httpx.MockTransport(respond))
    smoke_journey = Journey(Subject("deployed", API), client, client, SmokeReport(), token="t", timeout_seconds=1)
    smoke_journey.has_gateway, smoke_journey.limits = True, {"max_post_bytes": 4_000_000}
    return smoke_journey


def test_documented_responses_of_api_gateway_are_no_difference() -> None:
    smoke_journey = journey(behind_api_gateway)
    error_responses(smoke_journey)
    assert len(smoke_journey.report.observations) == 4
    assert smoke_journey.report.differences == []


def test_an_undocumented_response_of_api_gateway_is_reported_but_no_failure() -> None:
    def other(request: httpx.Request) -> httpx.Response:
        found = behind_api_gateway(request)
        return gateway(413, "Request Too Long") if found.status_code == 500 else found

    smoke_journey = journey(other)
    error_responses(smoke_journey)
    (difference,) = smoke_journey.report.differences
    assert (difference.what, difference.returned) == (
        "a body over Lambda's 6 MB",
        '413 {"message": "Request Too Long"}',
    )
    assert "**differs**" in smoke_journey.report.markdown()
    assert smoke_journey.report.passed


def test_an_undocumented_response_of_the_application_is_a_failure() -> None:
    def bare(request: httpx.Request) -> httpx.Response:
        return gateway(404, "Not Found") if request.method == "GET" else behind_api_gateway(request)

    with pytest.raises(StepFailed, match="404, request id instead of 404 not_found"):
        error_responses(journey(bare))


def test_the_report_has_no_secrets() -> None:
    url = "https://stack-uploads-123456789012-eu-west-1.s3.amazonaws.com/a?X-Amz-Credential=AKIA&X-Amz-Signature=1"
    report = SmokeReport(secrets=SECRETS, facts={"api": API, "arn": "arn:aws:sqs:eu-west-1:123456789012:queue"})
    report.steps.append(StepResult("POST", Outcome.FAILED, 1.0, f"the-key-of-the-api | {url}\nsecond line"))
    report.observations.append(Observation("what", "403", f"500 {url}"))
    text = report.markdown()
    for secret in (*SECRETS, "123456789012", "a1b2c3d4e5", "AKIA", "Signature"):
        assert secret not in text
    (row,) = [line for line in text.splitlines() if "| POST |" in line]
    assert row.count(" | ") == 3, "a | or a line break in a detail would break the table"


@pytest.mark.parametrize(
    ("outcomes", "passed"),
    [
        ((Outcome.PASSED, Outcome.SKIPPED), True),
        ((Outcome.PASSED, Outcome.FAILED), False),
        ((Outcome.PASSED, Outcome.BLOCKED), False),
    ],
)
def test_a_skipped_step_is_not_a_pass(outcomes: tuple[Outcome, ...], passed: bool) -> None:
    report = SmokeReport(steps=[StepResult("step", outcome, 0.1, "") for outcome in outcomes])
    assert report.passed is passed
    report.interrupted = True
    assert not report.passed


def test_the_report_includes_the_models_agreement_if_this_checkout_has_the_same_model(tmp_path: Path) -> None:
    manifest = {"name": "blip", "revision": "1", "agreement": {"captions": 50, "equal": 50}, "files": {}}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    assert json.loads(described_model("blip@1", (tmp_path,))["agreement"]) == {"captions": 50, "equal": 50}
    assert "does not have that model" in described_model("blip@2", (tmp_path,))["agreement"]
    assert "none was loaded" in described_model(None)["model"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api", "http://a.example", "--stack", "name"],
        ["--bucket", "name"],
        ["--api", "http://a.example", "--thumbnails-bucket", "name"],
        ["--api", "a.example"],
        ["--timeout", "0"],
    ],
)
def test_conflicting_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["smoke", *arguments])
