"""Logs and metrics of one unit of work: its ids, its metrics line and its threads."""

from __future__ import annotations

import json
import logging
import threading
from contextvars import copy_context

import pytest

from image_core.telemetry import count, instrumented, measure, note, observed, request_id, stage
from tests.emf import emitted, lines, metric


@pytest.fixture(autouse=True)
def as_on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "stack")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "processor")


def test_one_unit_of_work_prints_one_line_with_its_ids(capsys):
    with observed(request_id="r", unknown=None):
        note(image_id="i")
        measure("QueueAge", 5)
        with stage("decode"):
            pass
        count("ImagesProcessed")
        assert request_id() == "r"
    (line,) = lines(capsys.readouterr().out)
    assert (line["request_id"], line["image_id"], line["service"]) == ("r", "i", "processor")
    assert "unknown" not in line
    metrics = emitted(json.dumps(line))
    assert set(metrics) == {
        metric("stack", name, service="processor") for name in ("QueueAge", "DecodeDuration", "ImagesProcessed")
    }
    assert request_id() is None


def test_a_thread_can_join_with_a_copy_of_the_context(capsys):
    with observed(image_id="i"):
        with_context = threading.Thread(target=copy_context().run, args=(measure, "SaveDuration", 1))
        without = threading.Thread(target=measure, args=("LostDuration", 1))
        for thread in (with_context, without):
            thread.start()
            thread.join()
    (line,) = lines(capsys.readouterr().out)
    assert "SaveDuration" in line and "LostDuration" not in line


def test_a_failed_stage_is_not_measured_but_the_line_is_printed(capsys):
    def fail() -> None:
        measure("QueueAge", 5)
        with stage("decode"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"), observed():
        fail()
    assert {one.name for one in emitted(capsys.readouterr().out)} == {"QueueAge"}


def test_nested_work_has_its_own_line(capsys):
    with observed(image_id="outer"):
        with observed(image_id="inner"):
            measure("Inner", 1)
        measure("Outer", 1)
    inner, outer = lines(capsys.readouterr().out)
    assert (inner["image_id"], outer["image_id"]) == ("inner", "outer")
    assert "Inner" not in outer and "Outer" not in inner


def test_a_count_by_code_also_counts_in_total(capsys):
    with observed(image_id="i"):
        count("ImagesFailed", code="corrupt_image")
    assert set(emitted(capsys.readouterr().out)) == {
        metric("stack", "ImagesFailed", service="processor"),
        metric("stack", "ImagesFailed", service="processor", code="corrupt_image"),
    }


@pytest.mark.parametrize(
    ("variable", "value"), [("POWERTOOLS_METRICS_NAMESPACE", ""), ("POWERTOOLS_METRICS_DISABLED", "true")]
)
def test_nothing_is_printed_without_a_namespace_or_if_metrics_are_disabled(monkeypatch, capsys, variable, value):
    monkeypatch.setenv(variable, value)
    with observed():
        measure("QueueAge", 5)
    count("ColdStart")
    assert capsys.readouterr().out == ""


def test_the_first_call_of_a_handler_is_a_cold_start(capsys):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        root.handlers = [logging.NullHandler()]
        handler = instrumented(lambda event, context: {"was": event}, lambda: "INFO")
        assert [handler(number, None) for number in range(2)] == [{"was": 0}, {"was": 1}]
    finally:
        root.handlers = handlers
        root.setLevel(level)
    assert emitted(capsys.readouterr().out) == {metric("stack", "ColdStart", service="processor"): [1]}
