"""Progress bars: one for each file that is being uploaded, and one for all; and a count of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from imgpipe.files import LocalFile
from imgpipe.text import harmless

_NAME_CELLS = 36


class FileBar:
    """The bar of one file."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def sent(self, size: int) -> None:
        """Add this number of bytes. It is negative if the upload starts again."""
        self._bars.advance(self._task, size)

    def on_retry(self, seconds: float, reason: str) -> None:
        """Show when the next attempt is."""
        self._bars.set_note(self._task, f"{reason}; retrying in {seconds:.0f} s")


class Bars:
    """All bars of a batch, by sent bytes. Without a console, nothing is shown. A context manager."""

    def __init__(self, console: Console | None, files: Sequence[LocalFile]) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[name]}", markup=False, table_column=_name_column()),
            BarColumn(bar_width=24),
            TaskProgressColumn("{task.percentage:>3.0f}%", markup=False),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="yellow", markup=False, table_column=Column(no_wrap=True)),
            console=console,
            disable=console is None,
            transient=True,
        )
        self._count = len(files)
        self._done = 0
        self._all = self._progress.add_task("", name="", note="", total=sum(file.size for file in files))
        self._name_all()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def file(self, file: LocalFile) -> Iterator[FileBar]:
        """Show the bar of a file while it is being uploaded."""
        task = self._progress.add_task("", name=harmless(file.name), note="", total=file.size)
        try:
            yield FileBar(self, task)
            self._done += 1
        finally:
            # The missing bytes count as done, too: the file failed, or the response was known without sending.
            self._progress.remove_task(task)
            self._name_all()

    def advance(self, task: TaskID, size: int) -> None:
        """Advance a file's bar, and the total bar."""
        self._progress.update(task, advance=size, note="")
        self._progress.update(self._all, advance=size)

    def set_note(self, task: TaskID, note: str) -> None:
        """Show a note next to a file's bar."""
        self._progress.update(task, note=harmless(note))

    def _name_all(self) -> None:
        self._progress.update(self._all, name=f"{self._done} of {self._count} files")


class CountBar:
    """A count of images and their rate. Without a console, nothing is shown. A context manager."""

    def __init__(self, console: Console | None, done: int = 0) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.completed:,.0f} images", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            disable=console is None,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, completed=done, rate="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, count: int) -> None:
        """Count images."""
        self._progress.advance(self._task, count)
        speed = self._progress.tasks[0].speed
        self._progress.update(self._task, rate=f"{speed:,.0f}/s" if speed else "")


def _name_column() -> Column:
    return Column(no_wrap=True, overflow="ellipsis", min_width=_NAME_CELLS // 2, max_width=_NAME_CELLS)
