"""Log lines are short and cannot be forged."""

from __future__ import annotations

import io
import json
import logging

from image_core.telemetry import log_as_json, observed
from local import logs


def test_a_structured_record_becomes_one_line():
    record = {
        "level": "INFO",
        "location": "handler:12",
        "message": "claimed",
        "timestamp": "2026-11-20T10:00:00",
        "service": "processor",
        "image_id": "img_1",
    }
    assert logs.shorten(json.dumps(record)) == ["claimed image_id=img_1"]


def test_an_error_shows_its_level_and_traceback():
    record = {"level": "ERROR", "message": "no", "exception": "Traceback\n  File x\nValueError: y"}
    assert logs.shorten(json.dumps(record)) == ["error no", "Traceback", "  File x", "ValueError: y"]


def test_metrics_and_empty_lines_are_omitted():
    assert logs.shorten('{"_aws": {}, "Images": 1}') == []
    assert logs.shorten("") == []


def test_anything_else_is_printed_unchanged():
    assert logs.shorten("plain text") == ["plain text"]
    assert logs.shorten("{not json") == ["{not json"]


def test_a_name_cannot_forge_a_line(capsys):
    logs.write("processor", "photo\n12:00:00 api        all is well\x1b[2J\u2028\u2029\x85\u202e.jpg")
    (line,) = capsys.readouterr().err.splitlines()
    assert "photo\\n12:00:00 api" in line and "\\u2028\\u2029\\x85\\u202e" in line
    assert "\x1b" not in line


def test_a_record_of_the_functions_becomes_one_line_that_no_name_can_forge(capsys):
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = [logging.StreamHandler(stream)]
    try:
        log_as_json()
        with observed(image_id="img_1", request_id="r-1"):
            logging.getLogger("image_api").info("named %s", "photo\n\u2028{}.jpg", extra={"processing_ms": 7})
    finally:
        root.handlers = handlers
        root.setLevel(level)
    assert stream.getvalue().isascii()
    logs.copy("api", io.BytesIO(stream.getvalue().encode()))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("named photo\\n\\u2028{}.jpg processing_ms=7 image_id=img_1")


def test_bytes_that_are_not_text_are_printed_as_escapes(capsys):
    logs.copy("processor", io.BytesIO(b"caf\xe9\n"))
    assert "caf\ufffd" in capsys.readouterr().err
