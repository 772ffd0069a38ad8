"""Terminal output: progress bars during a run, a table at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.differences import Kind
from ops.reconcile import Progress as Advance
from ops.report import Report

_SHOWN_SAMPLES = 3


@contextmanager
def bars(totals: dict[str, int]) -> Iterator[Advance]:
    """Show a progress bar for each pass on standard error. `totals` has the known lengths, by pass."""
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {}

        def advance(name: str, count: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=totals.get(name), rate="")
            progress.advance(tasks[name], count)
            speed = progress.tasks[tasks[name]].speed
            progress.update(tasks[name], rate=f"{speed:,.0f}/s" if speed else "")

        yield advance


def show(report: Report, target: str) -> None:
    """Print the report as a table, with a few samples of each kind."""
    console = Console()
    table = Table("difference", "found", "repaired", "for instance", title=target, title_justify="left")
    for kind in Kind:
        if report.found[kind]:
            samples = report.samples.get(kind, [])[:_SHOWN_SAMPLES]
            shown = "\n".join(" ".join(filter(None, [s.image_id, s.detail or ", ".join(s.keys)])) for s in samples)
            repaired = str(report.repaired[kind]) if report.apply else "-"
            table.add_row(kind.value, str(report.found[kind]), repaired, shown)
    if report.found:
        console.print(table, markup=False)
    examined = ", ".join(f"{count:,} {name}" for name, count in report.examined.items()) or "nothing"
    console.print(f"{target}: checked {examined}; counters: {report.counters}.", markup=False, soft_wrap=True)
    if report.messages_waiting:
        waiting = (
            f"{report.messages_waiting:,} messages were in the queue, so some images may not be processed yet."
        )
        console.print(waiting, markup=False, soft_wrap=True)
    if report.errors:
        console.print(f"{report.errors} could not be checked or repaired:", markup=False)
        for error in report.error_samples:
            console.print(f"  {error}", markup=False, soft_wrap=True)
    console.print(_summary(report), markup=False)


def _summary(report: Report) -> str:
    if report.interrupted:
        return "Interrupted. Nothing is lost; run this again, or continue with --resume."
    if report.is_clean:
        return "Nothing differs."
    if not report.is_complete:
        return f"Could not check {'or repair ' if report.apply else ''}everything; see the message above."
    if not report.apply:
        return "Nothing was changed. Use --apply to repair this."
    return "Repaired. Some images are being processed again; run this again when they are done."
