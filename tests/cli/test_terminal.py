"""What people see: bars, tables and summaries in a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from tests.cli.command import Imgpipe
from tests.cli.conftest import names_on
from tests.cli.door import Door
from tests.cli.terminals import in_a_terminal
from tests.running_stack import Stack

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(shown: str) -> str:
    return _ESCAPES.sub("", shown)


def test_there_is_a_bar_for_each_file_on_its_way_and_one_for_all(
    imgpipe: Imgpipe, door: Door, stack: Stack, photos: list[Path]
) -> None:
    """Interrupted by Ctrl-C in the middle, it sums up; given again, it goes on."""
    over = threading.Event()
    door.plan("POST", "/api/images", *[lambda through: through()] * 3)
    door.always("POST", "/api/images", lambda through: (over.wait(60), through())[1])

    def is_in_the_middle(shown: str) -> bool:
        return "3 of 8 files" in plain(shown) and photos[4].name in plain(shown).rpartition("3 of 8 files")[2]

    command = imgpipe.command("upload", "--jobs", "2", *photos)
    shown, code = in_a_terminal(command, imgpipe.environment, control_when=is_in_the_middle)
    over.set()
    again, code_again = in_a_terminal(command, imgpipe.environment)

    assert code == 130
    assert re.search(r"3 of 8 files +━+╺?━* +\d+% +[\d.]+/[\d.]+ kB", plain(shown))
    assert re.search(rf"{re.escape(photos[3].name)} +━+", plain(shown))
    assert plain(shown).count("✓") == 3
    assert "3 of 8 files uploaded" in plain(shown) and "5 remaining" in plain(shown)
    assert "Traceback" not in shown
    assert code_again == 0
    assert "5 of 8 files uploaded" in plain(again) and "3 already uploaded" in plain(again)
    assert names_on(stack, photos) == sorted(path.name for path in photos)


def test_watching_is_a_table_that_ends_with_captions(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    shown, code = in_a_terminal(imgpipe.command("upload", "--wait", *photos[:3]), imgpipe.environment)
    assert code == 0
    end = plain(shown).rpartition("caption")[2]
    assert end.count("success") == 4  # three rows, and the sum
    assert "a photo of" in end


def test_outside_a_terminal_there_are_no_escapes_and_no_bars(imgpipe: Imgpipe, photos: list[Path]) -> None:
    run = imgpipe("upload", "--wait", *photos[:2])
    for text in (run.out, run.err, imgpipe("list").out, imgpipe("stats").out):
        assert "\x1b" not in text
        assert "━" not in text


def test_quiet_leaves_results_and_errors_alone(imgpipe: Imgpipe, photos: list[Path]) -> None:
    run = imgpipe("upload", "--quiet", photos[0])
    assert run.err == ""
    assert run.rows[0][0] == str(photos[0])


def test_a_terminal_that_lacks_letters_gets_escapes(imgpipe: Imgpipe, stack: Stack, photos: list[Path]) -> None:
    image_id = imgpipe("upload", photos[0], "--json").document["image_id"]
    imgpipe.environment |= {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    stack.finished(image_id)
    assert "60\\xd740" in imgpipe("show", image_id).out
