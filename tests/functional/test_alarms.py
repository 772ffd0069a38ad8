"""Each injected error emits exactly the metric that its alarm in template.yaml watches.

The functions' own metrics are parsed from the EMF lines that they print. For metrics that AWS counts (errors,
5xx, the age of messages), the tests check the function's response and the resource that the alarm names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from image_core.errors import ModelError
from image_core.keys import derived_image_id
from image_core.model import Status
from image_processor.handler import Processor
from image_processor.watchdog import Watchdog
from image_recovery.handler import handle
from tests import pictures
from tests.emf import Metric, emitted, metric, watched
from tests.events import load
from tests.functional import lambda_runtime
from tests.functional.captioners import Failing, FakeCaptioner
from tests.functional.emulator import Stack, raising, resource
from tests.functional.http_api import Api, request
from tests.functional.images import LEASE_SECONDS, image_in, stored_image, stored_object
from tests.functional.s3_events import messages, notification
from tests.functional.test_lambda_runtime import environment_of
from tests.iam.resolved import STACK, WEBHOOK_URL, observability, resolved, with_webhooks

KEY = "photo.jpg"
LOST = ConnectionClosedError(endpoint_url="https://aws")
Inject = Callable[[Stack], object]


def alarms() -> dict[str, dict[str, Any]]:
    return observability(WebhookUrl=WEBHOOK_URL).resources("AWS::CloudWatch::Alarm")


def failures(service: str, **code: str) -> Metric:
    return metric(STACK, "ImagesFailed", service=service, **code)


# Injected errors


def process(stack: Stack, captioner: FakeCaptioner | None = None, key: str = KEY) -> None:
    """Process the message of a key, on its last attempt."""
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


def model_is_missing(stack: Stack) -> None:
    def load(_: object) -> FakeCaptioner:
        raise ModelError("no caption model")

    stack.put(KEY, pictures.jpeg(200, 100))
    Processor(stack.services, load)(messages(notification(stack, key=KEY)))


def attempt_takes_too_long(stack: Stack) -> None:
    stored_image(stack, Status.PENDING, key=KEY)
    (record,) = stack.every()
    stored = stack.services.storage.head(KEY) or stored_object(record)
    watchdog = Watchdog(60, stack.services, lambda _: None)
    watchdog.guard(stack.records.claim(record, stored, lease_seconds=LEASE_SECONDS))
    watchdog.time_is_up()


def every_attempt_was_used(stack: Stack) -> None:
    stack.put(KEY, pictures.jpeg(200, 100))
    record = image_in(stack.records, Status.PENDING, key=KEY, image_id=derived_image_id(stack.uploads_bucket, KEY))
    use_up_attempts(stack, record)
    process(stack)


def use_up_attempts(stack: Stack, record: Any) -> None:
    for _ in range(stack.settings.max_attempts):
        stored = stack.services.storage.head(record.key) or stored_object(record)
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


INTERRUPTED = metric(STACK, "AttemptsInterrupted", service="processor")

EMF_FAULTS: list[tuple[str, str, Inject, Metric]] = [
    ("ImagesFailedAlarm", "processor", corrupt_image, failures("processor")),
    ("ImagesFailedAlarm", "recovery", upload_never_arrived, failures("recovery")),
    ("ImagesFailedAlarm", "api", upload_cannot_be_stored, failures("api")),
    ("PipelineErrorAlarm", "processor", captioner_fails, failures("processor", code="caption_failed")),
    ("PipelineErrorAlarm", "processor", model_lacks_a_module, failures("processor", code="internal_error")),
    ("PipelineErrorAlarm", "processor", every_attempt_was_used, failures("processor", code="retries_exhausted")),
    ("PipelineErrorAlarm", "recovery", dead_letter, failures("recovery", code="retries_exhausted")),
    ("InterruptedAttemptsAlarm", "processor", model_is_missing, INTERRUPTED),
    ("InterruptedAttemptsAlarm", "processor", attempt_takes_too_long, INTERRUPTED),
    (
        "PipelineErrorAlarm",
        "recovery",
        worker_died_on_every_attempt,
        failures("recovery", code="retries_exhausted"),
    ),
]


@pytest.fixture
def metrics_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """Return a function that sets a service's variables as in the template.

    It returns a parser of what the service printed.
    """

    def of(service: str) -> Callable[[], dict[Metric, list[float]]]:
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", STACK)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", service)
        capsys.readouterr()
        return lambda: emitted(capsys.readouterr().out)

    return of


@pytest.mark.parametrize(("alarm", "service", "inject", "fires"), EMF_FAULTS)
def test_an_injected_error_emits_the_metric_that_its_alarm_watches(
    stack: Stack, metrics_of: Callable[[str], Any], alarm: str, service: str, inject: Inject, fires: Metric
) -> None:
    printed = metrics_of(service)
    inject(stack)
    metrics = printed()
    assert fires in watched(alarms()[alarm])
    assert sum(metrics[fires]) == 1
    print(f"{alarm}: {inject.__name__} → {fires.namespace} {fires.name} {dict(fires.dimensions)}")


def test_each_custom_metric_with_an_alarm_has_an_injected_error_that_emits_it() -> None:
    own_metrics = {
        (name, one) for name, alarm in alarms().items() for one in watched(alarm) if one.namespace == STACK
    }
    assert own_metrics == {(name, fires) for name, _, _, fires in EMF_FAULTS}


def test_a_processed_picture_triggers_no_alarm(stack: Stack, metrics_of: Callable[[str], Any]) -> None:
    printed = metrics_of("processor")
    stack.put(KEY, pictures.jpeg(200, 100))
    process(stack)
    metrics = printed()
    assert sum(metrics[metric(STACK, "ImagesProcessed", service="processor")]) == 1
    assert not set(metrics) & {one for alarm in alarms().values() for one in watched(alarm)}


def test_only_pipeline_errors_fire_the_pipeline_error_alarm(stack: Stack, metrics_of: Callable[[str], Any]) -> None:
    printed = metrics_of("processor")
    corrupt_image(stack)
    assert not set(printed()) & watched(alarms()["PipelineErrorAlarm"])


# Metrics that AWS counts


needs_the_runtime = pytest.mark.skipif(
    lambda_runtime.emulator() is None, reason="sam-cli has no Runtime Interface Emulator for this machine"
)


@needs_the_runtime
def test_a_processor_that_raises_counts_as_an_error_of_the_function_that_the_alarm_watches(
    stack: Stack, tmp_path: Path
) -> None:
    """Lambda counts an invocation that responds with an error as one of `Errors`."""
    (handler,) = resource("ProcessorFunction")["ImageConfig"]["Command"]
    variables = environment_of(stack, CAPTION_MODEL_DIR="models/demo/exported")
    with lambda_runtime.running(handler, variables, tmp_path / "log") as invoke:
        response = invoke({"Records": [{"eventSource": "aws:s3"}]})
    assert response["errorType"]
    assert watched(alarms()["ProcessorErrorsAlarm"]) == {of_function("Processor", "Errors")}


def of_function(name: str, metric_name: str) -> Metric:
    return metric("AWS/Lambda", metric_name, FunctionName=resolved().name(f"{name}Function"))


@needs_the_runtime
def test_an_api_without_its_table_returns_5xx_which_api_gateway_counts(stack: Stack, tmp_path: Path) -> None:
    variables = environment_of(stack, POWERTOOLS_METRICS_NAMESPACE=STACK, POWERTOOLS_SERVICE_NAME="api")
    log = tmp_path / "log"
    handler = resource("ApiFunction")["Handler"]
    with lambda_runtime.running(handler, variables | {"STATS_TABLE": "there-is-none"}, log) as invoke:
        response = invoke(request("http_get.json", "/api/stats"))
    assert response["statusCode"] >= 500
    assert watched(alarms()["ApiServerErrorsAlarm"]) == {
        metric("AWS/ApiGateway", "5xx", ApiId=resolved().name("HttpApi"))
    }
    latency = metric(STACK, "Latency", service="api", route="GET /api/stats", status_class="5xx")
    assert len(emitted(log.read_text())[latency]) == 1


def flood_percent(calls: int, refused: int, **parameters: str) -> float:
    """Return the value that ApiFloodAlarm compares with its threshold, from the metrics of five minutes."""
    alarm = observability(**parameters).resources("AWS::CloudWatch::Alarm")["ApiFloodAlarm"]
    expression = next(query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    found = eval(expression, {"calls": calls, "refused": refused, "FILL": lambda metric, _: metric})
    assert isinstance(found, float)
    return found


def test_floods_of_calls_and_of_refused_calls_reach_the_threshold_of_the_alarm() -> None:
    alarm = alarms()["ApiFloodAlarm"]
    gateway = {"ApiId": resolved().name("HttpApi")}
    assert watched(alarm) == {metric("AWS/ApiGateway", name, **gateway) for name in ("Count", "4xx")}
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (25, "GreaterThanOrEqualToThreshold")
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 3)
    # The threshold is a quarter of the throttle's limit, or a twentieth of it if all calls are refused.
    assert flood_percent(14_999, 0) < 25 <= flood_percent(15_000, 0)
    assert flood_percent(2_999, 2_999) < 25 <= flood_percent(3_000, 3_000)
    assert flood_percent(15_000, 0, ApiRequestsPerSecond="400") < 25


def test_a_failed_sweep_raises_and_goes_to_the_monitored_queue(stack: Stack) -> None:
    image_in(stack.records, Status.PENDING)
    stack.clock.advance(10**6)
    stack.s3.plan("head_object", raising(LOST))
    with pytest.raises(ExceptionGroup):
        sweep(stack)
    (config,) = resolved().resources("AWS::Lambda::EventInvokeConfig").values()
    assert config["MaximumRetryAttempts"] == 0
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == resolved().arn("RecoveryFailureQueue")
    assert of_queue("RecoveryFailureQueue", "ApproximateNumberOfMessagesVisible") in watched(
        alarms()["RecoveryAlarm"]
    )


def test_a_dead_letter_that_cannot_be_handled_returns_until_it_moves_to_the_monitored_queue(
    stack: Stack,
) -> None:
    stack.put(KEY, b"bytes")
    event = messages(notification(stack, key=KEY), file="sqs_dead_letter.json")
    stack.s3.plan("head_object", raising(LOST))
    context: Any = None
    assert handle(event, context, stack.services)["batchItemFailures"]
    redrive = resolved().resources("AWS::SQS::Queue")["DeadLetterQueue"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == resolved().arn("RecoveryFailureQueue")
    hidden = resolved().resources("AWS::SQS::Queue")["DeadLetterQueue"]["VisibilityTimeout"]
    assert redrive["maxReceiveCount"] * hidden > stack.settings.lease_seconds, "a lease must not use them up"


def of_queue(queue: str, name: str) -> Metric:
    return metric("AWS/SQS", name, QueueName=resolved().value({"Fn::GetAtt": [queue, "QueueName"]}))


@pytest.mark.parametrize(
    ("alarm", "queue", "function"),
    [("QueueAgeAlarm", "Queue", "ProcessorFunction"), ("RecoveryAlarm", "DeadLetterQueue", "RecoveryFunction")],
)
def test_the_alarm_watches_the_age_of_the_queue_that_the_function_reads(
    alarm: str, queue: str, function: str
) -> None:
    assert of_queue(queue, "ApproximateAgeOfOldestMessage") in watched(alarms()[alarm])
    mappings = resolved().resources("AWS::Lambda::EventSourceMapping").values()
    (source,) = [one["EventSourceArn"] for one in mappings if one["FunctionName"] == resolved().name(function)]
    assert source == resolved().arn(queue)


def value(alarm: str, **metrics: float) -> float:
    """Return the value that the alarm compares with its threshold, from the metrics of one period.

    FILL replaces a missing metric.
    """
    expression = next(query["Expression"] for query in alarms()[alarm]["Metrics"] if "Expression" in query)
    known = {query["Id"]: metrics.get(query["Id"]) for query in alarms()[alarm]["Metrics"] if "MetricStat" in query}
    functions = {
        "FILL": lambda value, filled: filled if value is None else value,
        "IF": lambda condition, then, otherwise: then if condition else otherwise,
        "MAX": max,
    }
    return float(eval(expression, functions, known))


def test_the_recovery_alarm_watches_old_dead_letters_and_recovery_failures() -> None:
    assert alarms()["RecoveryAlarm"]["Threshold"] == 1
    assert value("RecoveryAlarm") == value("RecoveryAlarm", age=3599) == 0
    assert value("RecoveryAlarm", age=3600) >= 1 and value("RecoveryAlarm", failures=1) >= 1


def test_the_throttles_alarm_watches_the_functions_that_read_queues() -> None:
    names = ("Processor", "Recovery")
    assert watched(alarms()["ThrottlesAlarm"]) == {of_function(name, "Throttles") for name in names}


@pytest.mark.parametrize("name", ["Api", "Processor", "Recovery"])
def test_the_duration_alarm_uses_each_functions_own_timeout(name: str) -> None:
    assert of_function(name, "Duration") in watched(alarms()["DurationAlarm"])
    timeout = resolved().resources("AWS::Lambda::Function")[f"{name}Function"]["Timeout"]
    # CloudWatch counts milliseconds.
    assert value("DurationAlarm", **{name.lower(): 1000 * timeout * 0.82}) == pytest.approx(82)
    assert (alarms()["DurationAlarm"]["Threshold"], value("DurationAlarm")) == (80, 0)


@pytest.mark.parametrize("name", sorted(alarms()))
def test_an_alarm_on_filled_metrics_waits_for_values_that_arrive_late(name: str) -> None:
    """CloudWatch also fills values that have not arrived yet."""
    if "FILL" in str(alarms()[name].get("Metrics")):
        assert alarms()[name]["EvaluationPeriods"] >= 3 > alarms()[name]["DatapointsToAlarm"]


@pytest.mark.parametrize(
    ("given_up", "late_ms", "is_alarm"), [(0, 0, False), (0, 599_000, False), (0, 601_000, True), (1, 0, True)]
)
def test_events_that_are_discarded_or_ten_minutes_late_trigger_an_alarm(
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


def test_webhooks_that_were_given_up_or_wait_for_an_hour_trigger_an_alarm() -> None:
    template = with_webhooks()
    queue, letters = (
        template.value({"Fn::GetAtt": [name, "QueueName"]}) for name in ("WebhooksQueue", "WebhooksDeadLetterQueue")
    )
    assert watched(alarms()["WebhooksAlarm"]) == {
        metric("AWS/SQS", "ApproximateAgeOfOldestMessage", QueueName=queue),
        metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=letters),
    }
    assert value("WebhooksAlarm") == value("WebhooksAlarm", age=3599) == 0
    assert value("WebhooksAlarm", age=3600) >= 1 and value("WebhooksAlarm", given_up=1) >= 1
    assert alarms()["WebhooksAlarm"]["Threshold"] == 1


def test_there_are_twelve_alarms_and_one_fewer_without_webhooks() -> None:
    assert len(alarms()) == 12
    assert set(alarms()) - set(observability().resources("AWS::CloudWatch::Alarm")) == {"WebhooksAlarm"}


def test_every_alarm_is_tested_here() -> None:
    tested = Path(__file__).read_text()
    assert [name for name in alarms() if f'"{name}"' not in tested] == []
