"""Output for people: bars, tables and summaries in a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from tests.cli.command import Imgpipe
from tests.cli.conftest import names_on
from tests.cli.proxy import Proxy
from tests.cli.terminals import run_in_terminal
from tests.running_stack import Stack

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(output: str) -> str:
    return _ESCAPES.sub("", output)


def test_upload_shows_a_bar_for_each_file_in_progress_and_one_for_all(
    imgpipe: Imgpipe, proxy: Proxy, stack: Stack, photos: list[Path]
) -> None:
    """Ctrl-C in the middle prints a summary, and the same command resumes."""
    over = threading.Event()
    proxy.plan("POST", "/api/images", *[lambda through: through()] * 3)
    proxy.always("POST", "/api/images", lambda through: (over.wait(60), through())[1])

    def is_halfway(output: str) -> bool:
        return "3 of 8 files" in plain(output) and photos[4].name in plain(output).rpartition("3 of 8 files")[2]

    command = imgpipe.command("upload", "--jobs", "2", *photos)
    output, code = run_in_terminal(command, imgpipe.environment, control_when=is_halfway)
    over.set()
    again, code_again = run_in_terminal(command, imgpipe.environment)

    assert code == 130
    assert re.search(r"3 of 8 files +━+╺?━* +\d+% +[\d.]+/[\d.]+ kB", plain(output))
    assert re.search(rf"{re.escape(photos[3].name)} +━+", plain(output))
    assert plain(output).count("✓") == 3
    assert "3 of 8 files uploaded" in plain(output) and "5 remaining" in plain(output)
    assert "Traceback" not in output
    assert code_again == 0
    assert "5 of 8 files uploaded" in plain(again) and "3 already uploaded" in plain(again)
    assert names_on(stack, photos) == sorted(path.name for path in photos)


def test_upload_wait_shows_a_table_that_ends_with_captions(
    imgpipe: Imgpipe, stack: Stack, photos: list[Path]
) -> None:
    output, code = run_in_terminal(imgpipe.command("upload", "--wait", *photos[:3]), imgpipe.environment)
    assert code == 0
    end = plain(output).rpartition("caption")[2]
    assert end.count("success") == 4  # three rows and the total
    assert "a photo of" in end


def test_output_that_is_not_a_terminal_has_no_escapes_and_no_bars(imgpipe: Imgpipe, photos: list[Path]) -> None:
    run = imgpipe("upload", "--wait", *photos[:2])
    for text in (run.out, run.err, imgpipe("list").out, imgpipe("stats").out):
        assert "\x1b" not in text
        assert "━" not in text


def test_quiet_prints_only_results_and_errors(imgpipe: Imgpipe, photos: list[Path]) -> None:
    run = imgpipe("upload", "--quiet", photos[0])
    assert run.err == ""
    assert run.rows[0][0] == str(photos[0])


def test_a_terminal_without_unicode_gets_escapes(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    image_id = imgpipe("upload", photos[0], "--json").document["image_id"]
    imgpipe.environment |= {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    stack.finished(image_id)
    assert "60\\xd740" in imgpipe("show", image_id).out
