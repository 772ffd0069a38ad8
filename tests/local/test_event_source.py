"""The event source mapping, with moto over HTTP and real worker processes."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest

from local.event_source import describe, failed_message_ids, lambda_event


def send(sqs: Any, queue: tuple[str, str], **body: Any) -> str:
    return str(sqs.send_message(QueueUrl=queue[0], MessageBody=json.dumps(body))["MessageId"])


def messages_in(sqs: Any, queue: tuple[str, str]) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue[0], AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_a_handled_message_is_deleted(sqs, make_queue, run_processor, notes, eventually):
    queue = make_queue()
    run_processor(queue)
    message_id = send(sqs, queue, do="nothing")
    eventually(lambda: notes.read() and messages_in(sqs, queue) == 0)
    assert [note["record"]["messageId"] for note in notes.read()] == [message_id]


def test_the_event_has_lambdas_format(sqs, make_queue, run_processor, notes, eventually):
    queue = make_queue()
    run_processor(queue, timeout_seconds=20)
    sqs.send_message(
        QueueUrl=queue[0],
        MessageBody='{"é": 1}',
        MessageAttributes={"why": {"DataType": "String", "StringValue": "reprocess"}},
    )
    (note,) = eventually(notes.read)
    record = note["record"]
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "eventSource",
        "eventSourceARN", "awsRegion",
    }  # fmt: skip
    assert record["body"] == '{"é": 1}'
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue[1]
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(record["attributes"])
    assert record["messageAttributes"] == {
        "why": {"stringValue": "reprocess", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    }
    assert 15_000 < note["remaining_ms"] <= 20_000


def test_a_failed_message_is_received_again_after_its_visibility_timeout(
    sqs, make_queue, run_processor, notes, eventually
):
    queue = make_queue(VisibilityTimeout="1")
    run_processor(queue)
    send(sqs, queue, do="raise once")
    eventually(lambda: len(notes.read()) == 2 and messages_in(sqs, queue) == 0)
    counts = [note["record"]["attributes"]["ApproximateReceiveCount"] for note in notes.read()]
    assert counts == ["1", "2"]
    assert len({note["pid"] for note in notes.read()}) == 1, "an error in the handler does not end the process"


def test_only_failed_items_of_a_batch_are_received_again(sqs, make_queue, run_processor, notes, eventually):
    queue = make_queue(VisibilityTimeout="1")
    bad = send(sqs, queue, do="give back")
    for _ in range(3):
        send(sqs, queue, do="nothing")
    run_processor(queue, batch_size=10)
    eventually(lambda: len(notes.read()) >= 6)
    assert [note["record"]["messageId"] for note in notes.read()[4:6]] == [bad, bad]
    assert messages_in(sqs, queue) == 1


def test_a_killed_worker_is_replaced_and_its_message_is_received_again(
    sqs, make_queue, run_processor, notes, eventually
):
    queue = make_queue(VisibilityTimeout="2")
    function = run_processor(queue)
    send(sqs, queue, do="sleep")
    (first,) = eventually(notes.read)
    assert function.pids == [first["pid"]]
    os.kill(first["pid"], signal.SIGKILL)
    second = eventually(lambda: notes.read()[1:])[0]
    assert second["pid"] != first["pid"]
    assert second["record"]["messageId"] == first["record"]["messageId"]
    assert second["record"]["attributes"]["ApproximateReceiveCount"] == "2"


def test_a_handler_that_ends_its_process_fails_only_that_message(sqs, make_queue, run_processor, notes, eventually):
    queue = make_queue(VisibilityTimeout="60")
    run_processor(queue)
    send(sqs, queue, do="exit")
    send(sqs, queue, do="nothing")
    eventually(lambda: len(notes.read()) == 2 and messages_in(sqs, queue) == 1)


def test_a_handler_over_its_timeout_is_killed(sqs, make_queue, run_processor, notes, eventually, is_alive, capfd):
    queue = make_queue(VisibilityTimeout="60")
    run_processor(queue, timeout_seconds=0.5)
    send(sqs, queue, do="sleep")
    (note,) = eventually(notes.read)
    eventually(lambda: not is_alive(note["pid"]))
    send(sqs, queue, do="nothing")
    eventually(lambda: len(notes.read()) == 2)
    assert "timed out after 0.50 seconds" in capfd.readouterr().err


def test_a_message_that_keeps_failing_ends_in_the_dead_letter_queue(
    sqs, make_queue, run_processor, notes, eventually
):
    dead = make_queue()
    redrive = json.dumps({"deadLetterTargetArn": dead[1], "maxReceiveCount": 2})
    queue = make_queue(VisibilityTimeout="1", RedrivePolicy=redrive)
    run_processor(queue)
    message_id = send(sqs, queue, do="raise")
    (letter,) = eventually(lambda: sqs.receive_message(QueueUrl=dead[0]).get("Messages"))
    assert (letter["MessageId"], json.loads(letter["Body"])) == (message_id, {"do": "raise"})
    assert len(notes.read()) == 2
    assert messages_in(sqs, queue) == 0


def test_workers_share_a_queue(sqs, make_queue, run_processor, notes, eventually):
    queue = make_queue(VisibilityTimeout="60")
    run_processor(queue, workers=2)
    send(sqs, queue, do="sleep")
    send(sqs, queue, do="sleep")
    eventually(lambda: len(notes.read()) == 2)
    assert len({note["pid"] for note in notes.read()}) == 2


def test_output_of_a_handler_is_logged_and_not_part_of_its_response(
    sqs, make_queue, run_processor, notes, eventually, capfd
):
    queue = make_queue()
    run_processor(queue)
    send(sqs, queue, do="print")
    eventually(lambda: notes.read() and messages_in(sqs, queue) == 0)
    logged = ""

    def both_lines() -> bool:
        nonlocal logged
        logged += capfd.readouterr().err
        return "processor  this is no answer" in logged and "processor  neither is this" in logged

    eventually(both_lines)


def test_log_records_of_a_handler_are_shown_with_their_fields(sqs, make_queue, run_processor, eventually, capfd):
    queue = make_queue()
    run_processor(queue)
    send(sqs, queue, do="log")
    logged = []
    eventually(
        lambda: logged.append(capfd.readouterr().err) or "warning look here image_id=img_1" in "".join(logged)
    )


def test_a_worker_is_warm_before_its_first_invocation(sqs, make_queue, run_processor, notes, eventually):
    queue = make_queue()
    run_processor(queue)
    send(sqs, queue, do="nothing")
    (note,) = eventually(notes.read)
    assert note["warm"] == [True]


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"item": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "stranger"}]}, {"a", "b"}),
    ],
)
def test_item_failures_are_interpreted_as_by_lambda(result, failed):
    assert failed_message_ids(result, ["a", "b"]) == failed


def test_a_log_line_shows_the_decoded_key():
    body = json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "a%2Fb+c.jpg"}}}]})
    message = {"MessageId": "1", "ReceiptHandle": "r", "Body": body, "MD5OfBody": "m"}
    assert describe([message]) == "ObjectCreated:Put a/b c.jpg"
    assert lambda_event([message], queue_arn="arn:aws:sqs:eu-west-1:1:q")["Records"][0]["awsRegion"] == "eu-west-1"


def test_a_worker_is_reloaded_when_it_has_finished_its_message(
    sqs, make_queue, run_processor, notes, eventually, tmp_path
):
    queue, gate = make_queue(), tmp_path / "gate"
    function = run_processor(queue)
    send(sqs, queue, do="wait", **{"for": str(gate)})
    (first,) = eventually(notes.read)
    reloading = threading.Thread(target=function.reload)
    reloading.start()
    send(sqs, queue, do="nothing")
    assert function.pids == [first["pid"]], "the worker is busy"
    gate.touch()
    reloading.join(20)
    assert not reloading.is_alive()
    assert function.pids != [first["pid"]]
    eventually(lambda: messages_in(sqs, queue) == 0)
    assert [(note["body"]["do"], note["pid"]) for note in notes.read()] == [
        ("wait", first["pid"]),
        ("nothing", function.pids[0]),
    ]
