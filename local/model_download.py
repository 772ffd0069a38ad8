"""A process that downloads the real caption model and exports it: `python -m local.model_download --to FOLDER`.

It writes its progress to standard output, one JSON object per line, and ends when its parent does. The next run
continues the download. Exit codes are those of `models.export`.
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
    """Writes a report of the download after each percent."""

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
    """Entry point. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.model_download", description=__doc__)
    parser.add_argument("--to", required=True, metavar="FOLDER", help="where to write the model")
    target: str = parser.parse_args().to
    read_until_parent_ends()
    report = _Reporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # output of the export goes to the log
    os.nice(_NICENESS)  # processing of pictures has priority
    return export.main(["--to", target], on_progress=report)


if __name__ == "__main__":
    sys.exit(main())
