"""A process that downloads the real caption model and exports it: `python -m local.model_download --to FOLDER`.

It writes its progress to standard output, one JSON object a line, and ends when its parent does. What it has
downloaded by then is kept for the next time. Exit codes are those of `models.export`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TextIO

from local.lifeline import read_until_parent_ends
from models import export
from models.fetch import REPOSITORY

_NICENESS = 10


class _Reporter:
    """Writes a report of the download whenever another percent is there."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._percent = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(1, total)
        if percent > self._percent:
            self._percent = percent
            self._output.write(json.dumps({"model": REPOSITORY, "done": done, "total": total}) + "\n")
            self._output.flush()


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.model_download", description=__doc__)
    parser.add_argument("--to", required=True, metavar="FOLDER", help="where to write the model")
    target: str = parser.parse_args().to
    read_until_parent_ends()
    report = _Reporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what the export prints is for the log
    os.nice(_NICENESS)  # pictures that are being processed come first
    return export.main(["--to", target], on_progress=report)


if __name__ == "__main__":
    sys.exit(main())
