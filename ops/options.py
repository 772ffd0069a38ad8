"""The command line: `python -m ops reconcile`, `python -m ops reprocess`."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_core.errors import IMAGE_ERRORS
from image_core.model import Stage, Status
from ops.target import LOCAL_FILE

EXIT_CODES = """exit codes:
  0    nothing differs, or everything that did was repaired
  1    differences are left (a dry run found some, or a repair did not succeed)
  2    the command line makes no sense, or there is no such stack, or the local one has ended
  3    not everything could be checked: see the messages and the report
  130  interrupted; --resume goes on with the originals where it stopped"""


@dataclass(frozen=True)
class Options:
    """What was asked for; `command` is `reconcile` or `reprocess`."""

    command: str
    stack: str | None
    region: str | None
    profile: str | None
    endpoint_url: str | None
    local_file: Path
    apply: bool
    rate: float | None
    workers: int
    report: Path | None
    # reconcile
    resume: bool
    state: Path | None
    min_age_seconds: float | None
    settle_seconds: float
    # reprocess
    status: Status
    code: str | None
    stage: Stage
    limit: int | None


def parse(arguments: Sequence[str]) -> Options:
    """Options from the command line; exits with 2 and a message where they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m ops", description="For the engineer on call.")
    commands = parser.add_subparsers(dest="command", required=True)
    reconcile = commands.add_parser(
        "reconcile",
        help="compare bucket, table, thumbnails and counters, and put right what differs",
        description="Compares bucket, table, thumbnails and counters as a whole. Without --apply nothing changes. "
        "Objects without a record are imported: that is how an existing bucket is backfilled.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reprocess = commands.add_parser(
        "reprocess",
        help="process many images again",
        description="Begins images again that have a status, and an error code if one is given. Without --apply it "
        "only says how many there are.",
    )
    for command in (reconcile, reprocess):
        _add_target(command)
        command.add_argument("--apply", action="store_true", help="do it; without this nothing is changed")
        command.add_argument(
            "--rate", type=_positive, default=50.0, metavar="N", help="most messages a second (%(default)s)"
        )
    add = reconcile.add_argument
    add("--report", type=Path, metavar="FILE", help="write what was found, as JSON")
    add("--resume", action="store_true", help="go on with the originals where an interrupted --apply stopped")
    add("--state", type=Path, metavar="FILE", help="where that is kept (.local/reconcile-BUCKET.json)")
    add("--workers", type=_count, default=16, metavar="N", help="calls to AWS at a time (%(default)s)")
    add(
        "--min-age",
        dest="min_age_seconds",
        type=_duration,
        metavar="SECONDS",
        help="leave objects alone whose event may be under way (default: the stack's PENDING_TIMEOUT_SECONDS)",
    )
    add(
        "--settle",
        dest="settle_seconds",
        type=_duration,
        default=2.0,
        metavar="SECONDS",
        help="look again after this at what seems wrong: a change may have been under way (%(default)s)",
    )
    add = reprocess.add_argument
    finished = [Status.SUCCESS, Status.FAILED]
    add("--status", type=Status, choices=finished, default=Status.FAILED, help="which images (%(default)s)")
    add("--code", choices=sorted(IMAGE_ERRORS), help="only those that failed with this code")
    stage_help = "what to make again, the rest is kept (%(default)s)"
    add("--stage", type=Stage, choices=list(Stage), default=Stage.ALL, help=stage_help)
    add("--limit", type=_count, metavar="N", help="at most so many")
    given = vars(parser.parse_args(arguments))
    if given.get("code") and given["status"] is not Status.FAILED:
        reprocess.error("--code goes with --status failed")
    unused: dict[str, Any] = {field.name: None for field in dataclasses.fields(Options)} | {"workers": 1}
    return Options(**(unused | given))


def _add_target(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--stack", metavar="NAME", help="a deployed stack, by its name in CloudFormation; without: the local one")
    add("--region", help="its region (default: as the AWS CLI)")
    add("--profile", help="a profile of the AWS CLI (default: as the AWS CLI)")
    add("--endpoint-url", metavar="URL", help="another endpoint than AWS's, with --stack")
    add("--local-file", type=Path, default=LOCAL_FILE, metavar="FILE", help="what `make run` left (%(default)s)")


def _positive(text: str) -> float:
    number = _number(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a number, more than 0 (got {text!r})")
    return number


def _duration(text: str) -> float:
    number = _number(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, 0 or more (got {text!r})")
    return number


def _count(text: str) -> int:
    number = _number(text)
    if not (number >= 1 and number.is_integer()):
        raise argparse.ArgumentTypeError(f"expected a whole number, 1 or more (got {text!r})")
    return int(number)


def _number(text: str) -> float:
    """Returns the number; NaN, which is in no range, for other text: argparse would name our function."""
    try:
        return float(text)
    except ValueError:
        return math.nan
