"""`python -m ops`: parses the command line, makes one call, maps the result to an exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from image_core.errors import Unavailable
from image_core.services import Services
from image_core.stores.queue import Queue
from ops import reprocess_estimate
from ops.checkpoint import Checkpoint
from ops.display import bars, show
from ops.imports.buckets import BadSource, Buckets
from ops.imports.run import Imported, import_bucket
from ops.imports.run import Plan as ImportPlan
from ops.imports.summary import explained, lines
from ops.options import Options, parse
from ops.rate import RateLimit
from ops.reconcile import Plan, TooManyErrors, new_report, reconcile
from ops.redrive import Redriven, dead_letter_queue, redrive
from ops.reindex import Reindexed, reindex
from ops.report import Report
from ops.reprocess import Reprocessed, Selection, reprocess
from ops.smoke.run import smoke
from ops.smoke.subject import subject_at, subject_of
from ops.target import NoSuchStack, Target, deployed_stack, local_stack
from ops.teardown.clients import Clients
from ops.teardown.delete import Incomplete, Teardown
from ops.teardown.inventory import Finder, Refused

FAILURES = (BotoCoreError, ClientError, Unavailable, TooManyErrors)
"""Errors that end a run before all of its work is done."""

CLEAN, DIFFERENT, USAGE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str]) -> int:
    """Entry point. Returns the exit code, see `ops.options.EXIT_CODES`."""
    options = parse(arguments)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.command == "smoke":
            return _smoke(options)
        if options.command == "teardown":
            return _teardown(options)
        target = _target(options)
        services = target.connect(workers=options.workers)
        run = {
            "reconcile": _reconcile,
            "reprocess": _reprocess,
            "reindex": _reindex,
            "redrive": _redrive,
            "import": _import,
        }[options.command]
        return run(options, target, services)
    except (NoSuchStack, BadSource, Refused) as error:
        _print_error(error)
        return USAGE
    except Incomplete as error:
        _print_error(error)
        return DIFFERENT
    except FAILURES as error:
        _print_error(error)
        return INCOMPLETE
    except KeyboardInterrupt:
        _print_error("interrupted")
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_error(what: object) -> None:
    print(f"python -m ops: {what}", file=sys.stderr)


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _target(options: Options) -> Target:
    if options.stack is not None:
        return deployed_stack(
            options.stack, region=options.region, profile=options.profile, endpoint_url=options.endpoint_url
        )
    # The local stack is on this machine, so no proxy is used.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return local_stack(options.local_file)


def _reconcile(options: Options, target: Target, services: Services) -> int:
    bucket = target.settings.uploads_bucket
    checkpoint = Checkpoint(options.state or Path(".local") / f"reconcile-{bucket}.json", bucket)
    plan = Plan(
        apply=options.apply,
        rate=options.rate,
        workers=options.workers,
        start_after=checkpoint.read() if options.resume else "",
        min_age_seconds=options.min_age_seconds,
        settle_seconds=options.settle_seconds,
    )
    report = new_report(services, plan)
    try:
        report.messages_waiting = services.queue.waiting()
        total = sum(services.records.stats().counts.values())
        with bars({"records": total, "recount": total}) as progress:
            reconcile(
                services,
                plan,
                progress=progress,
                # A dry run does nothing that could be resumed.
                checkpoint=checkpoint.write if options.apply else lambda _: None,
                report=report,
            )
        if options.apply:
            checkpoint.remove()
    except KeyboardInterrupt:
        report.interrupted = True
    except FAILURES as error:
        _print_error(error)  # before the report, because its conclusion refers to it
    finally:
        show(report, target.name)
        if options.report is not None:
            options.report.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return _exit_code(report)


def _exit_code(report: Report) -> int:
    if report.interrupted:
        return INTERRUPTED
    if not report.is_complete:
        return INCOMPLETE
    return DIFFERENT if report.left else CLEAN


def _reprocess(options: Options, target: Target, services: Services) -> int:
    current = services.records.caption_model().name
    if options.model_not == "current" and current is None:
        raise NoSuchStack(f"{target.name} has no current model: no processor has loaded one yet. Pass its name.")
    model_not = current if options.model_not == "current" else options.model_not
    stats, done = services.records.stats(), Reprocessed()
    try:
        with bars({"images": stats.counts.get(options.status, 0)}) as progress:
            reprocess(
                services,
                Selection(options.status, options.code, model_not, options.flag, options.query),
                stage=options.stage,
                force=options.force,
                apply=options.apply,
                limit=options.limit,
                rate=RateLimit(options.rate, now_ms=services.clock.now_ms, sleep=time.sleep),
                done=done,
                current_model=current,
                warn=_print_error,
                progress=progress,
            )
    finally:
        action = (
            f"{done.requeued:,} reprocessed" if options.apply else "nothing was changed; --apply reprocesses them"
        )
        print(f"{target.name}: {done.examined:,} checked, {done.matching:,} match; {action}.")
    if not options.apply and done.matching:
        summary = reprocess_estimate.lines(
            done,
            stats,
            stage=options.stage,
            force=options.force,
            current_model=current,
            processor=target.processor,
            rate=options.rate,
        )
        print("\n".join(summary))
    return CLEAN


def _reindex(options: Options, target: Target, services: Services) -> int:
    done = Reindexed()
    try:
        reindex(
            services,
            apply=options.apply,
            rate=RateLimit(options.rate, now_ms=services.clock.now_ms, sleep=time.sleep),
            done=done,
        )
    finally:
        keys, entries = (f" ({n:,} written)" if options.apply else "" for n in (done.written, done.made_searchable))
        print(
            f"{target.name}: records without index keys: {done.outdated:,}{keys};"
            f" records without search entries: {done.not_searchable:,}{entries}."
        )
        if not options.apply and (done.outdated or done.not_searchable):
            print("Nothing was changed. --apply writes them.")
    return CLEAN


def _import(options: Options, target: Target, services: Services) -> int:
    buckets = Buckets.connect(options.source_bucket, target, workers=options.workers)
    checkpoint = Checkpoint(
        options.state or Path(".local") / f"import-{buckets.source}.json",
        f"{buckets.source}/{options.prefix} to {buckets.destination}",
    )
    plan = ImportPlan(
        prefix=options.prefix,
        max_image_bytes=target.settings.max_image_bytes,
        apply=options.apply,
        include_deleted=options.include_deleted,
        start_after=checkpoint.read() if options.resume else "",
        workers=options.workers,
    )
    done = Imported()
    try:
        with bars({}) as progress:
            import_bucket(
                buckets,
                plan,
                rate=RateLimit(options.rate, now_ms=services.clock.now_ms, sleep=time.sleep),
                done=done,
                failed=lambda key, error: _print_error(f"{key!r}: {explained(error)}"),
                progress=progress,
                # A dry run does nothing that could be resumed.
                checkpoint=checkpoint.write if options.apply else lambda _: None,
            )
        if options.apply:
            checkpoint.remove()
    finally:
        print(f"s3://{buckets.source}/{options.prefix} to {target.name}:")
        for line in lines(done, apply=options.apply, crosses_regions=buckets.crosses_regions):
            print(line)
    return DIFFERENT if done.errors else CLEAN


def _redrive(options: Options, target: Target, services: Services) -> int:
    queue_url = target.settings.webhook_queue_url
    if queue_url is None:
        raise NoSuchStack(f"{target.name} sends no webhooks: its WebhookUrl is empty")
    sqs, done = services.clients["sqs"], Redriven()
    letters_url = dead_letter_queue(sqs.get(), queue_url)
    waiting = Queue(sqs.get(), letters_url).waiting()
    try:
        if options.apply:
            rate = RateLimit(options.rate, now_ms=services.clock.now_ms, sleep=time.sleep)
            redrive(sqs.get(), letters_url=letters_url, queue_url=queue_url, rate=rate, done=done)
    finally:
        action = f"{done.moved:,} sent again" if options.apply else "nothing was changed; --apply sends them again"
        print(f"{target.name}: {waiting:,} webhooks were given up; {action}.")
    return CLEAN


def _smoke(options: Options) -> int:
    if options.api is not None:
        subject = subject_at(
            options.api,
            key=os.environ.get("IMGPIPE_API_KEY") or None,
            bucket=options.bucket,
            thumbnails_bucket=options.thumbnails_bucket,
            endpoint_url=options.endpoint_url,
            region=options.region,
            profile=options.profile,
        )
    else:
        subject = subject_of(_target(options))
    report = smoke(subject, timeout_seconds=options.timeout_seconds, print_line=partial(print, flush=True))
    assert options.report is not None
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report.markdown(), encoding="utf-8")
    for difference in report.differences:
        print(
            report.redacted(f"differs  {difference.what}: {difference.returned} instead of {difference.documented}")
        )
    print(f"{report.summary()}. Report: {options.report}")
    if report.interrupted:
        return INTERRUPTED
    return CLEAN if report.passed else DIFFERENT


def _teardown(options: Options) -> int:
    session = boto3.Session(region_name=options.region, profile_name=options.profile)
    clients = Clients.of(session, options.endpoint_url)
    finder = Finder(options.name, clients)
    found = finder.inventory()
    finder.refuse_protected(found)
    for line in finder.losses(found):
        print(line, flush=True)
    if not options.yes and _typed(f"Type {options.name} to delete all of this: ") != options.name:
        raise Refused("the name was not confirmed; nothing was changed")
    try:
        Teardown(clients, print_line=partial(print, flush=True)).run(found)
    except KeyboardInterrupt:
        print("Interrupted. Run this again to delete what is left.", file=sys.stderr)
        raise
    print(f"Nothing of {options.name} is left.")
    return CLEAN


def _typed(question: str) -> str | None:
    try:
        return input(question).strip()
    except EOFError:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
