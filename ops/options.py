"""The command line of `python -m ops`, with one function for each of its commands."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_core.errors import IMAGE_ERRORS, BadQuery
from image_core.model import Stage, Status
from image_core.search.query import parse as parse_query
from ops.target import LOCAL_FILE

EXIT_CODES = """exit codes:
  0    there are no differences, or all were repaired
  1    differences are left (a dry run found some, or a repair failed)
  2    the command line is invalid, or there is no such stack, or the local stack has stopped
  3    not everything could be checked: see the messages and the report
  130  interrupted; --resume continues with the originals where it stopped"""

IMPORT_EXIT_CODES = """exit codes:
  0    all pictures that can be imported are imported (without --apply: the bucket was examined)
  1    some objects could not be examined or copied: see the messages, then run it again
  2    the command line is invalid, there is no such bucket or stack, or the local stack has stopped
  3    the bucket could not be examined completely: see the message
  130  interrupted; run it again, or continue with --resume"""

SMOKE_EXIT_CODES = """exit codes:
  0    every step passed, or was skipped for the reason that is shown
  1    a step failed or could not run
  2    the command line is invalid, or there is no such stack, or the local stack has stopped
  3    AWS could not be reached, or refused to describe the stack
  130  interrupted; the images of the run were deleted"""

TEARDOWN_EXIT_CODES = """exit codes:
  0    nothing of the stack is left
  1    something is left: see the message, then run it again
  2    there is no such stack, it is protected, or the name was not confirmed; nothing was changed
  3    AWS could not be reached, or refused a call; run it again to continue
  130  interrupted; run it again to continue"""

CAPTION_FLAGS = ("low_confidence", "repetitive", "too_short")
"""As the processor sets them (docs/metadata.md)."""

SMOKE_REPORT = Path(".local") / "smoke-report.md"


@dataclass(frozen=True)
class Options:
    """The parsed options. `command` is the name of one of the commands below."""

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
    # import
    source_bucket: str
    prefix: str
    include_deleted: bool
    # reprocess
    status: Status
    code: str | None
    model_not: str | None
    flag: str | None
    query: str | None
    stage: Stage
    force: bool
    limit: int | None
    # smoke
    api: str | None
    bucket: str | None
    thumbnails_bucket: str | None
    timeout_seconds: float
    # teardown
    name: str
    yes: bool


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line. Exits with 2 and a message if it is invalid."""
    parser = argparse.ArgumentParser(prog="python -m ops", description="For the engineer on call.")
    commands = parser.add_subparsers(dest="command", required=True)
    reconcile = commands.add_parser(
        "reconcile",
        help="compare bucket, table, thumbnails and counters, and repair differences",
        description="Compares bucket, table, thumbnails and counters completely. Without --apply nothing changes. "
        "Objects without a record are imported, which is how to backfill an existing bucket.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reprocess = commands.add_parser(
        "reprocess",
        help="process many images again",
        description="Reprocesses images that meet all conditions. Without --apply it only prints their number, and "
        "how long that takes and what it costs. After an interruption, run it again: images that wait are not "
        "selected, and with --model-not current neither are those that were done.",
    )
    reindex = commands.add_parser(
        "reindex",
        help="add to the indexes what records of earlier versions lack",
        description="Writes each record that lacks an index key of this version, for example the SHA-256 by which "
        "duplicates are found, and the search entries that are missing. Without --apply it only prints their "
        "number.",
    )
    redrive = commands.add_parser(
        "redrive",
        help="send webhooks again that were given up",
        description="Sends webhooks again that the receiver did not accept for 24 hours. They are then tried for "
        "another 24 hours. Without --apply it only prints their number.",
    )
    for command in (reconcile, reprocess, reindex, redrive):
        _add_target(command)
        _add_apply(command)
    add = reconcile.add_argument
    add("--report", type=Path, metavar="FILE", help="write the findings to this file, as JSON")
    add("--resume", action="store_true", help="continue with the originals where an interrupted --apply stopped")
    add("--state", type=Path, metavar="FILE", help="where to store that position (.local/reconcile-BUCKET.json)")
    add("--workers", type=_count, default=16, metavar="N", help="maximum parallel calls to AWS (%(default)s)")
    add(
        "--min-age",
        dest="min_age_seconds",
        type=_duration,
        metavar="SECONDS",
        help="ignore objects newer than this, as their event may be in transit (default: the stack's "
        "PENDING_TIMEOUT_SECONDS)",
    )
    add(
        "--settle",
        dest="settle_seconds",
        type=_duration,
        default=2.0,
        metavar="SECONDS",
        help="check a difference again after this time, as a change may have been in progress (%(default)s)",
    )
    add = reprocess.add_argument
    finished = [Status.SUCCESS, Status.FAILED]
    status_help = "which images (default: success with --model-not, --flag or --query, else failed)"
    add("--status", type=Status, choices=finished, help=status_help)
    add("--code", choices=sorted(IMAGE_ERRORS), help="only those that failed with this code")
    model_help = (
        "only those whose caption is not of this model; `current` is the one that the processor last loaded"
    )
    add("--model-not", type=_text, metavar="MODEL", help=model_help)
    add("--flag", choices=CAPTION_FLAGS, help="only those whose caption has this flag")
    query_help = (
        "only those that match this search, as in `imgpipe search`. One that begins with a dash: --query=-word"
    )
    add("--query", type=_query, metavar="TEXT", help=query_help)
    stage_help = "what to recreate; the rest is kept (default: caption with --model-not or --flag, else all)"
    add("--stage", type=Stage, choices=list(Stage), help=stage_help)
    force_help = "compute captions again that could be copied, because nothing has changed"
    add("--force", action="store_true", help=force_help)
    add("--limit", type=_count, metavar="N", help="maximum number of images")
    _add_import(commands)
    smoke = _add_smoke(commands)
    _add_teardown(commands)
    given = vars(parser.parse_args(arguments))
    if given["command"] == "smoke":
        _check_smoke(smoke, given)
    if given["command"] == "reprocess":
        _complete_reprocess(reprocess, given)
    unused: dict[str, Any] = {field.name: None for field in dataclasses.fields(Options)} | {"workers": 1}
    return Options(**(unused | given))


def _complete_reprocess(reprocess: argparse.ArgumentParser, given: dict[str, Any]) -> None:
    """Set the defaults that depend on the conditions."""
    is_about_captions = given["model_not"] or given["flag"]
    if given["status"] is None:
        is_about_success = is_about_captions or given["query"]
        given["status"] = Status.SUCCESS if is_about_success and not given["code"] else Status.FAILED
    if given["code"] and given["status"] is not Status.FAILED:
        reprocess.error("--code requires --status failed")
    if given["stage"] is None:
        given["stage"] = Stage.CAPTION if is_about_captions else Stage.ALL


def _add_import(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "import",
        help="import the pictures of another bucket",
        description="Copies the pictures of another bucket into the uploads bucket, on the server side, where they "
        "become images. Without --apply it only prints what it would import, and what that costs. Objects that "
        "were imported before, or whose images were deleted, are not copied again.",
        epilog=IMPORT_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_target(command)
    _add_apply(command)
    add = command.add_argument
    add("--bucket", dest="source_bucket", required=True, metavar="NAME", help="the bucket to import")
    add("--prefix", default="", metavar="TEXT", help="only objects whose keys begin with this (default: all)")
    add("--include-deleted", action="store_true", help="import objects again whose images were deleted")
    add("--resume", action="store_true", help="continue where an interrupted --apply stopped")
    add("--state", type=Path, metavar="FILE", help="where to store that position (.local/import-BUCKET.json)")
    add("--workers", type=_count, default=16, metavar="N", help="maximum parallel calls to S3 (%(default)s)")


def _add_apply(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--apply", action="store_true", help="make the changes; without this nothing is changed")
    add("--rate", type=_positive, default=50.0, metavar="N", help="maximum changes per second (%(default)s)")


def _add_smoke(commands: Any) -> argparse.ArgumentParser:
    smoke: argparse.ArgumentParser = commands.add_parser(
        "smoke",
        help="test a running stack from upload to deletion, in about a minute",
        description="Uploads three pictures, tests everything that a client can do with them, and deletes them. "
        "Writes a report without keys, account ids and bucket names. Without --stack and --api it tests the "
        "local stack. With --api, the key is read from IMGPIPE_API_KEY, and steps that need a bucket are skipped "
        "without --bucket.",
        epilog=SMOKE_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_target(smoke)
    add = smoke.add_argument
    add("--api", metavar="URL", help="the URL of an API, instead of the name of a stack")
    add("--bucket", metavar="NAME", help="the uploads bucket, with --api")
    add("--thumbnails-bucket", metavar="NAME", help="the thumbnails bucket, with --bucket")
    add(
        "--timeout",
        dest="timeout_seconds",
        type=_positive,
        default=180.0,
        metavar="SECONDS",
        help="how long processing of one image may take (%(default)s)",
    )
    report_help = "where to write the report, as Markdown (%(default)s)"
    add("--report", type=Path, default=SMOKE_REPORT, metavar="FILE", help=report_help)
    return smoke


def _check_smoke(smoke: argparse.ArgumentParser, given: dict[str, Any]) -> None:
    if given["api"] and given["stack"]:
        smoke.error("--api and --stack exclude each other")
    if given["bucket"] and not given["api"]:
        smoke.error("--bucket requires --api: the buckets of a stack are already known")
    if given["thumbnails_bucket"] and not given["bucket"]:
        smoke.error("--thumbnails-bucket requires --bucket")
    if given["api"] and not given["api"].startswith(("http://", "https://")):
        smoke.error(f"--api: {given['api']!r} is not a URL that begins with http:// or https://")


def _add_teardown(commands: Any) -> None:
    teardown: argparse.ArgumentParser = commands.add_parser(
        "teardown",
        help="delete a deployed stack with all its data",
        description="Empties the buckets, deletes the stack, then the buckets and tables that it leaves behind. "
        "Refuses a stack with ProtectData=true. Safe to run again after an interruption, even if the stack is "
        "already gone.",
        epilog=TEARDOWN_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    teardown.add_argument("name", metavar="NAME", help="the stack's name in CloudFormation")
    teardown.add_argument("--yes", action="store_true", help="do not ask for the name again")
    _add_credentials(teardown)


def _add_target(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--stack", metavar="NAME", help="a deployed stack, by its name in CloudFormation (default: the local stack)"
    )
    _add_credentials(command)
    add(
        "--local-file",
        type=Path,
        default=LOCAL_FILE,
        metavar="FILE",
        help="the file that `make run` wrote (%(default)s)",
    )


def _add_credentials(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--region", help="the region of the stack (default: that of the AWS CLI)")
    add("--profile", help="a profile of the AWS CLI (default: that of the AWS CLI)")
    add("--endpoint-url", metavar="URL", help="the URL of an emulator instead of AWS")


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


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a word")
    return text


def _query(text: str) -> str:
    try:
        parse_query(_text(text))
    except BadQuery as error:
        raise argparse.ArgumentTypeError(error.message) from error
    return text


def _count(text: str) -> int:
    number = _number(text)
    if not (number >= 1 and number.is_integer()):
        raise argparse.ArgumentTypeError(f"expected a whole number, 1 or more (got {text!r})")
    return int(number)


def _number(text: str) -> float:
    """Parse a number. Other text gives NaN, which no range contains: argparse's error would name this function."""
    try:
        return float(text)
    except ValueError:
        return math.nan
