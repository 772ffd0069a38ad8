"""Reconcile tables with objects at the start after an unclean stop, see `local.kept_data`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local import logs
from local.template import ROOT

# Nothing else runs yet, so no object can be too new for a comparison, and no change can be in progress.
_OPTIONS = ("--apply", "--min-age", "0", "--settle", "0", "--rate", "1000")


def reconcile(stack_file: Path, environment: Mapping[str, str]) -> bool:
    """Run `python -m ops reconcile --apply` for the stack of `stack_file`. Returns whether it succeeded.

    It is a separate process, because nothing in `local` imports `ops`.
    """
    command = [sys.executable, "-m", "ops", "reconcile", *_OPTIONS, "--local-file", str(stack_file)]
    logs.write("local", "the last run did not stop cleanly: reconciling tables with objects …")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "COLUMNS": "200"},  # rich wraps lines
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode == 0:
        logs.write("local", lines[-1] if lines else "")
        return True
    for line in lines:
        logs.write("local", line)
    logs.write("local", "could not reconcile everything; the next start retries it, or run: " + " ".join(command))
    return False
