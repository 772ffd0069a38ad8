"""Bringing tables and objects together again at the start after an unclean end, see `local.kept_data`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local import logs
from local.template import ROOT

# Nothing else runs yet: no object can be too new to be compared, and nothing can be under way.
_OPTIONS = ("--apply", "--min-age", "0", "--settle", "0", "--rate", "1000")


def reconcile(stack_file: Path, environment: Mapping[str, str]) -> bool:
    """Runs `python -m ops reconcile --apply` for the stack of `stack_file`; returns whether it succeeded.

    In a process of its own: nothing in `local` imports `ops`.
    """
    command = [sys.executable, "-m", "ops", "reconcile", *_OPTIONS, "--local-file", str(stack_file)]
    logs.write("local", "the last run did not stop cleanly: reconciling tables with objects …")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "COLUMNS": "200"},  # rich breaks lines
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
    logs.write(
        "local", "not everything was reconciled; the next start tries again, and so does: " + " ".join(command)
    )
    return False
