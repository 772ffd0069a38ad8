"""A process that downloads the real caption model and exports it: `python -m local.model_download --to FOLDER`.

It writes its progress to standard output, one JSON object a line, and ends when its parent does. What it has
downloaded by then is kept for the next time. Exit codes are those of `models.export`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TextIO

from image_core.errors import ModelError
from local.lifeline import read_until_parent_ends
from models.export import CANNOT_EXPORT, UNREACHABLE, Origin, export
from models.fetch import LICENSE, REPOSITORY, HubUnreachable, fetch

_NICENESS = 10


class _Reporter:
    """Writes a report of the download whenever another percent is there."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._percent = -1

    def downloaded(self, done: int, total: int) -> None:
        percent = 100 * done // max(1, total)
        if percent > self._percent:
            self._percent = percent
            self.write(step="download", model=REPOSITORY, done=done, total=total)

    def write(self, **report: int | str) -> None:
        self._output.write(json.dumps(report) + "\n")
        self._output.flush()


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.model_download", description=__doc__)
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where to write the model")
    target = parser.parse_args().to
    read_until_parent_ends()
    reporter = _Reporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what the export prints is for the log
    os.nice(_NICENESS)  # pictures that are being processed come first
    try:
        snapshot = fetch(on_progress=reporter.downloaded)
        reporter.write(step="export", model=REPOSITORY)
        export(snapshot.folder, target, Origin(REPOSITORY, snapshot.commit, LICENSE))
    except HubUnreachable as error:
        print(error, file=sys.stderr)
        return UNREACHABLE
    except ModelError as error:
        print(error, file=sys.stderr)
        return CANNOT_EXPORT
    return 0


if __name__ == "__main__":
    sys.exit(main())
