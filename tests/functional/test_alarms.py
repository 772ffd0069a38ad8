"""For each fault the metric that its alarm in template.yaml watches: namespace, name and dimensions, exactly.

What the functions tell themselves is read off the EMF lines that they print while a fault is injected; what AWS
counts (errors, 5xx, the age of messages) is shown by what the function answers, and by the resource that the alarm
names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from image_core.keys import derived_image_id
from image_core.model import Status
from image_processor.handler import Processor
from image_recovery.handler import handle
from tests import pictures
from tests.emf import Metric, emitted, metric, watched
from tests.events import load
from tests.functional import lambda_runtime
from tests.functional.captioners import Failing, FakeCaptioner
from tests.functional.emulator import Stack, raising, resource
from tests.functional.http_api import Api, request
from tests.functional.images import LEASE_SECONDS, image_in, seen, stored_image
from tests.functional.s3_events import messages, notification
from tests.functional.test_lambda_runtime import environment_of
from tests.iam.resolved import STACK, resolved

KEY = "photo.jpg"
LOST = ConnectionClosedError(endpoint_url="https://aws")
Inject = Callable[[Stack], object]


def alarms() -> dict[str, dict[str, Any]]:
    return resolved().resources("AWS::CloudWatch::Alarm")


def failures(service: str, **code: str) -> Metric:
    return metric(STACK, "ImagesFailed", service=service, **code)


# Faults


def process(stack: Stack, captioner: FakeCaptioner | None = None, key: str = KEY) -> None:
    """The processor takes the message of a key, on its last attempt."""
    stored = stack.services.storage.head(key)
    event = messages(notification(stack, key=key, eTag=stored.etag if stored else ""))
    Processor(stack.services, lambda _: captioner or FakeCaptioner())(event)


def corrupt_image(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(200, 100)[:900])
    process(stack)


def captioner_fails(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(200, 100))
    process(stack, Failing(RuntimeError("no")))


def model_lacks_a_module(stack: Stack) -> None:
    def load(_: object) -> FakeCaptioner:
        raise ModuleNotFoundError("No module named 'torch'")

    stack.put(KEY, pictures.jpeg(200, 100))
    Processor(stack.services, load)(messages(notification(stack, key=KEY)))


def every_attempt_was_used(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(200, 100))
    record = image_in(stack.records, Status.PENDING, key=KEY, image_id=derived_image_id(stack.uploads_bucket, KEY))
    use_up_attempts(stack, record)
    process(stack)


def use_up_attempts(stack: Stack, record: Any) -> None:
    for _ in range(stack.settings.max_attempts):
        stored = stack.services.storage.head(record.key) or seen(record)
        record = stack.records.claim(record, stored, lease_seconds=LEASE_SECONDS)
    stack.clock.advance(10**6)


def dead_letter(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(200, 100))
    sent = str(stack.clock.now_ms)
    event = messages(notification(stack, key=KEY), file="sqs_dead_letter.json", SentTimestamp=sent)
    event["Records"][0]["body"] = event["Records"][0]["body"].replace(
        load("s3_put.json")["Records"][0]["s3"]["object"]["eTag"],
        stack.services.storage.head(KEY).etag,  # type: ignore[union-attr]
    )
    context: Any = None
    handle(event, context, stack.services)


def sweep(stack: Stack) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 60_000

    context: Any = Context()
    handle(load("schedule.json"), context, stack.services)


def worker_died_on_every_attempt(stack: Stack) -> None:
    use_up_attempts(stack, stored_image(stack, Status.PENDING))
    sweep(stack)


def upload_never_arrived(stack: Stack) -> None:
    image_in(stack.records, Status.PENDING)
    stack.clock.advance(10**6)
    sweep(stack)


def upload_cannot_be_stored(stack: Stack) -> None:
    stack.s3.plan("put_object", raising(LOST))
    assert Api(stack.services).upload(pictures.jpeg()).status == 503


EMF_FAULTS: list[tuple[str, str, Inject, Metric]] = [
    ("ImagesFailedAlarm", "processor", corrupt_image, failures("processor")),
    ("ImagesFailedAlarm", "recovery", upload_never_arrived, failures("recovery")),
    ("ImagesFailedAlarm", "api", upload_cannot_be_stored, failures("api")),
    ("PipelineFaultAlarm", "processor", captioner_fails, failures("processor", code="caption_failed")),
    ("PipelineFaultAlarm", "processor", model_lacks_a_module, failures("processor", code="internal_error")),
    ("PipelineFaultAlarm", "processor", every_attempt_was_used, failures("processor", code="retries_exhausted")),
    ("PipelineFaultAlarm", "recovery", dead_letter, failures("recovery", code="retries_exhausted")),
    (
        "PipelineFaultAlarm",
        "recovery",
        worker_died_on_every_attempt,
        failures("recovery", code="retries_exhausted"),
    ),
]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """Gives a function its variables of the template; then what it has printed."""

    def of(service: str) -> Callable[[], dict[Metric, list[float]]]:
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", STACK)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", service)
        capsys.readouterr()
        return lambda: emitted(capsys.readouterr().out)

    return of


@pytest.mark.parametrize(("alarm", "service", "inject", "fires"), EMF_FAULTS)
def test_a_fault_emits_the_metric_that_its_alarm_watches(
    stack: Stack, told: Callable[[str], Any], alarm: str, service: str, inject: Inject, fires: Metric
) -> None:
    printed = told(service)
    inject(stack)
    metrics = printed()
    assert fires in watched(alarms()[alarm])
    assert sum(metrics[fires]) == 1
    print(f"{alarm}: {inject.__name__} → {fires.namespace} {fires.name} {dict(fires.dimensions)}")


def test_each_metric_of_ours_that_an_alarm_watches_has_a_fault_that_emits_it() -> None:
    ours = {(name, one) for name, alarm in alarms().items() for one in watched(alarm) if one.namespace == STACK}
    assert ours == {(name, fires) for name, _, _, fires in EMF_FAULTS}


def test_a_picture_that_is_processed_fires_nothing(stack: Stack, told: Callable[[str], Any]) -> None:
    printed = told("processor")
    stack.put(KEY, pictures.jpeg(200, 100))
    process(stack)
    metrics = printed()
    assert sum(metrics[metric(STACK, "ImagesProcessed", service="processor")]) == 1
    assert not set(metrics) & {one for alarm in alarms().values() for one in watched(alarm)}


def test_only_faults_of_ours_fire_the_pipeline_fault_alarm(stack: Stack, told: Callable[[str], Any]) -> None:
    printed = told("processor")
    corrupt_image(stack)
    assert not set(printed()) & watched(alarms()["PipelineFaultAlarm"])


# What AWS counts


def function_of(alarm: str) -> str:
    (one,) = watched(alarms()[alarm])
    assert one.namespace == "AWS/Lambda"
    return dict(one.dimensions)["FunctionName"].removeprefix(f"{STACK}-")


needs_the_runtime = pytest.mark.skipif(
    lambda_runtime.emulator() is None, reason="sam-cli has no Runtime Interface Emulator for this machine"
)


@needs_the_runtime
@pytest.mark.parametrize(
    ("alarm", "event"),
    [
        ("ApiErrorsAlarm", {"not": "from API Gateway"}),
        ("ProcessorErrorsAlarm", {"Records": [{"eventSource": "aws:s3"}]}),
        ("RecoveryErrorsAlarm", load("schedule.json")),
    ],
)
def test_a_function_that_raises_is_an_error_of_the_function_that_the_alarm_names(
    stack: Stack, tmp_path: Path, alarm: str, event: Any
) -> None:
    """Lambda counts an invocation that answers with an error as one of `Errors`."""
    function = resource(function_of(alarm))
    handler = function.get("Handler") or function["ImageConfig"]["Command"][0]
    variables = environment_of(stack, CAPTION_MODEL_DIR="models/demo/exported")
    if alarm == "RecoveryErrorsAlarm":
        variables |= {"IMAGES_TABLE": "there-is-no-such-table"}
    with lambda_runtime.running(handler, variables, tmp_path / "log") as invoke:
        answer = invoke(event)
    assert answer["errorType"]
    assert next(iter(watched(alarms()[alarm]))).name == "Errors"


@needs_the_runtime
def test_an_api_without_its_table_answers_5xx_which_api_gateway_counts(stack: Stack, tmp_path: Path) -> None:
    variables = environment_of(stack, POWERTOOLS_METRICS_NAMESPACE=STACK, POWERTOOLS_SERVICE_NAME="api")
    log = tmp_path / "log"
    handler = resource("ApiFunction")["Handler"]
    with lambda_runtime.running(handler, variables | {"STATS_TABLE": "there-is-none"}, log) as invoke:
        answer = invoke(request("http_get.json", "/api/stats"))
    assert answer["statusCode"] >= 500
    assert watched(alarms()["ApiServerErrorsAlarm"]) == {
        metric("AWS/ApiGateway", "5xx", ApiId=resolved().name("HttpApi"))
    }
    latency = metric(STACK, "Latency", service="api", route="GET /api/stats", status_class="5xx")
    assert len(emitted(log.read_text())[latency]) == 1


def flood_percent(calls: int, refused: int, **parameters: str) -> float:
    """What ApiFloodAlarm compares with its threshold, for the metrics of five minutes."""
    alarm = resolved(**parameters).resources("AWS::CloudWatch::Alarm")["ApiFloodAlarm"]
    expression = next(query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    found = eval(expression, {"calls": calls, "refused": refused, "FILL": lambda metric, _: metric})
    assert isinstance(found, float)
    return found


def test_a_flood_of_calls_and_a_smaller_one_of_refused_calls_are_told() -> None:
    alarm = alarms()["ApiFloodAlarm"]
    gateway = {"ApiId": resolved().name("HttpApi")}
    assert watched(alarm) == {metric("AWS/ApiGateway", name, **gateway) for name in ("Count", "4xx")}
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (25, "GreaterThanOrEqualToThreshold")
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 3)
    # A quarter of what the throttle lets through, or a twentieth if all of it is refused.
    assert flood_percent(14_999, 0) < 25 <= flood_percent(15_000, 0)
    assert flood_percent(2_999, 2_999) < 25 <= flood_percent(3_000, 3_000)
    assert flood_percent(15_000, 0, ApiRequestsPerSecond="400") < 25


def test_a_sweep_that_fails_raises_and_goes_to_the_queue_that_is_watched(stack: Stack) -> None:
    image_in(stack.records, Status.PENDING)
    stack.clock.advance(10**6)
    stack.s3.plan("head_object", raising(LOST))
    with pytest.raises(ExceptionGroup):
        sweep(stack)
    (config,) = resolved().resources("AWS::Lambda::EventInvokeConfig").values()
    assert config["MaximumRetryAttempts"] == 0
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == resolved().arn("RecoveryFailureQueue")
    assert_watches_queue("RecoveryFailureAlarm", "RecoveryFailureQueue", "ApproximateNumberOfMessagesVisible")


def test_a_dead_letter_that_cannot_be_dealt_with_comes_back_until_it_goes_to_the_queue_that_is_watched(
    stack: Stack,
) -> None:
    stack.put(KEY, b"bytes")
    event = messages(notification(stack, key=KEY), file="sqs_dead_letter.json")
    stack.s3.plan("head_object", raising(LOST))
    context: Any = None
    assert handle(event, context, stack.services)["batchItemFailures"]
    redrive = resolved().resources("AWS::SQS::Queue")["DeadLetterQueue"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == resolved().arn("RecoveryFailureQueue")
    hidden = int(resolved().parameters["DeadLetterVisibilitySeconds"])
    assert redrive["maxReceiveCount"] * hidden > stack.settings.lease_seconds, "a lease must not use them up"


def assert_watches_queue(alarm: str, queue: str, name: str) -> None:
    (one,) = watched(alarms()[alarm])
    assert one == metric("AWS/SQS", name, QueueName=resolved().value({"Fn::GetAtt": [queue, "QueueName"]}))


@pytest.mark.parametrize(
    ("alarm", "queue", "function"),
    [
        ("QueueAgeAlarm", "Queue", "ProcessorFunction"),
        ("DeadLetterAgeAlarm", "DeadLetterQueue", "RecoveryFunction"),
    ],
)
def test_the_age_that_is_watched_is_that_of_the_queue_that_the_function_reads(
    alarm: str, queue: str, function: str
) -> None:
    assert_watches_queue(alarm, queue, "ApproximateAgeOfOldestMessage")
    mappings = resolved().resources("AWS::Lambda::EventSourceMapping").values()
    (source,) = [one["EventSourceArn"] for one in mappings if one["FunctionName"] == resolved().name(function)]
    assert source == resolved().arn(queue)


@pytest.mark.parametrize("name", ["Api", "Processor", "Recovery"])
def test_throttles_and_long_runs_are_those_of_the_function(name: str) -> None:
    assert (function_of(f"{name}ThrottlesAlarm"), function_of(f"{name}DurationAlarm")) == (f"{name}Function",) * 2
    (throttles,) = watched(alarms()[f"{name}ThrottlesAlarm"])
    (duration,) = watched(alarms()[f"{name}DurationAlarm"])
    assert (throttles.name, duration.name) == ("Throttles", "Duration")
    alarm = resolved(**{f"{name}TimeoutSeconds": "25"}).resources("AWS::CloudWatch::Alarm")[f"{name}DurationAlarm"]
    expression = next(query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    # CloudWatch gives milliseconds: 20.5 s of 25 s are 82%.
    assert eval(expression, {"longest": 20_500}) == pytest.approx(82)
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (80, "GreaterThanThreshold")


@pytest.mark.parametrize(
    ("given_up", "late_ms", "is_alarm"), [(0, 0, False), (0, 599_000, False), (0, 601_000, True), (1, 0, True)]
)
def test_events_that_are_given_up_or_ten_minutes_late_are_an_alarm(
    given_up: int, late_ms: int, is_alarm: bool
) -> None:
    alarm = alarms()["CompletionEventsAlarm"]
    queue = resolved().value({"Fn::GetAtt": ["StreamFailureQueue", "QueueName"]})
    assert watched(alarm) == {
        metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=queue),
        metric("AWS/Lambda", "IteratorAge", FunctionName=resolved().name("StreamFunction")),
    }
    expression = next(query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    values = {"FILL": lambda value, _: value, "given_up": given_up, "late": late_ms}
    assert (eval(expression, values) >= alarm["Threshold"]) is is_alarm


def test_every_alarm_has_a_test_here() -> None:
    tested = Path(__file__).read_text()
    for name in alarms():
        function = name.removesuffix("ThrottlesAlarm").removesuffix("DurationAlarm")
        assert name in tested or function in ("Api", "Processor", "Recovery"), name
