"""`python -m local.sam local start-api …`: runs SAM's command line as a child process, which ends with its parent.

SAM's own servers accept requests from every web page, so `local.gate` filters them first.

SAM removes its containers on SIGTERM, so it gets that signal when the parent ends. Before its server runs, SAM has
no handler for SIGTERM and would leave a lock behind that the next run waits for. Until then, SIGTERM is a normal
exit."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from local.gate import Gate, WsgiGate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Flask


def _stop_when_parent_ends() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _exit(_signum: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def guard_servers(gate: Gate) -> None:
    """Put `gate` in front of every Flask application of this process, such as SAM's servers."""
    from flask import Flask

    serve = Flask.__call__

    def serve_accepted(
        application: Flask, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        return WsgiGate(partial(serve, application), gate)(environ, start_response)

    Flask.__call__ = serve_accepted  # type: ignore[method-assign, assignment]


def parse(arguments: Sequence[str] | None = None) -> tuple[Gate, list[str]]:
    """Parse the gate and the arguments of `sam`.

    Only the API has pages and serves other hosts. Functions are invoked without a key, so no page may invoke them.
    """
    parser = argparse.ArgumentParser(prog="python -m local.sam")
    parser.add_argument("--served-host", default="127.0.0.1", help="the host name of the API")
    parser.add_argument(
        "--origin", default=[], action="append", help="origin whose pages may call it; may be repeated"
    )
    parser.add_argument("sam", nargs=argparse.REMAINDER, help="arguments of sam")
    given = parser.parse_args(arguments)
    if "start-api" in given.sam:
        return Gate.of([given.served_host], given.origin, has_pages=True), given.sam
    return Gate(), given.sam


def main() -> None:
    gate, arguments = parse()
    os.dup2(2, 1)  # standard error is the log
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_stop_when_parent_ends, name="lifeline", daemon=True).start()
    guard_servers(gate)
    from samcli.cli.main import cli  # type: ignore[import-untyped]

    cli(arguments, prog_name="sam")


if __name__ == "__main__":
    main()
