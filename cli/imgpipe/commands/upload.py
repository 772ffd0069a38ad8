"""The command `upload`."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from imgpipe.batches import for_each
from imgpipe.client import Client
from imgpipe.commands.arguments import Jobs, Wait
from imgpipe.commands.watch import watch_until_finished
from imgpipe.errors import OK, SOME_FAILED, BadUsage, ImgpipeError
from imgpipe.files import LocalFile, Selection, select
from imgpipe.journal import Journal, default_path
from imgpipe.progress import Bars
from imgpipe.session import ending, session_of
from imgpipe.terminal import Terminal, failure, styled
from imgpipe.text import counted, size_text
from imgpipe.uploads import Outcome, State, Uploader, Way

_MARKS = {State.UPLOADED: ("✓", "green"), State.SKIPPED: ("=", "dim"), State.FAILED: ("✗", "red")}


def upload(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files; with --recursive also folders.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Upload the pictures in folders and their subfolders.")
    ] = False,
    jobs: Jobs = 4,
    wait: Wait = False,
    presigned: Annotated[
        bool | None,
        typer.Option(
            "--presigned/--post",
            help="Upload directly to the bucket, or through the API. By default, this depends on the size.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Upload files again even if already uploaded.")] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Skip files with the same bytes as an image that the API already has."
        ),
    ] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            envvar="IMGPIPE_JOURNAL",
            metavar="FILE",
            help="File that records uploads (default: in the user's state folder).",
        ),
    ] = None,
) -> None:
    """Upload images.

    If a batch is interrupted, by Ctrl-C or in any other way, run the same command again. It continues where it
    stopped, and no image is uploaded twice.
    """
    session = session_of(context)
    terminal = session.terminal
    with ending(terminal):
        if again and skip_existing:
            raise BadUsage("--again and --skip-existing exclude each other.")
        selection = select(paths, recursive=recursive)
        notes = _opened(journal, terminal)
    way = Way.AUTO if presigned is None else Way.PRESIGNED if presigned else Way.POST

    async def act(client: Client) -> int:
        batch = _Batch(selection, terminal)
        limit = await client.max_post_bytes() if selection.files else 0
        uploader = Uploader(client, notes, way=way, max_post_bytes=limit, again=again, skip_existing=skip_existing)
        try:
            await batch.run(uploader, jobs)
        except (asyncio.CancelledError, ImgpipeError):
            terminal.note(f"{batch.summary()} Run the same command again to continue.")
            raise
        terminal.note(batch.summary())
        code = SOME_FAILED if batch.counts[State.FAILED] else OK
        return max(code, await watch_until_finished(client, batch.image_ids, terminal)) if wait else code

    try:
        session.run(act)
    finally:
        notes.close()


def _opened(path: Path | None, terminal: Terminal) -> Journal:
    if path is not None:
        return Journal.open(path)
    try:
        return Journal.open(default_path(os.environ))
    except (BadUsage, RuntimeError) as error:  # RuntimeError: there is no home folder
        terminal.note(f"{error} An interrupted batch will start over; use --journal to choose another file.")
        return Journal.in_memory()


class _Batch:
    """The files of one command, and their outcomes."""

    def __init__(self, selection: Selection, terminal: Terminal) -> None:
        self._files = selection.files
        self._errors = selection.errors
        self._ignored = selection.ignored
        self._terminal = terminal
        self._began = time.monotonic()
        self._sizes = {file.path: file.size for file in self._files}
        self._bytes = 0
        self.counts: Counter[State] = Counter()
        self.image_ids: list[str] = []

    async def run(self, uploader: Uploader, jobs: int) -> None:
        """Upload all files. Raises `Unreachable`, `Refused`, and `CancelledError` if it is interrupted."""
        for path, file_error in self._errors:
            self._done(Outcome(path, State.FAILED, error=file_error))

        def failed(file: LocalFile, error: ImgpipeError) -> None:
            self._done(Outcome(file.path, State.FAILED, error=error))

        with Bars(self._terminal.screen, self._files) as bars:

            async def one(file: LocalFile) -> None:
                with bars.file(file) as bar:
                    outcome = await uploader.upload(file, bar)
                self._done(outcome)

            await for_each(self._files, one, jobs=jobs, failed=failed)

    def _done(self, outcome: Outcome) -> None:
        self.counts[outcome.state] += 1
        if outcome.image_id:
            self.image_ids.append(outcome.image_id)
        if outcome.state is State.UPLOADED:
            self._bytes += self._sizes[outcome.path]
        _report(outcome, self._terminal)

    def summary(self) -> str:
        """Summarize the batch."""
        total = len(self._files) + len(self._errors)
        parts = [f"{self.counts[State.UPLOADED]:,} of {counted(total, 'file')} uploaded ({size_text(self._bytes)})"]
        for state, words in ((State.SKIPPED, "already uploaded"), (State.FAILED, "failed")):
            if self.counts[state]:
                parts.append(f"{self.counts[state]:,} {words}")
        left = total - self.counts.total()
        if left:
            parts.append(f"{left:,} remaining")
        if self._ignored:
            parts.append(f"{self._ignored:,} in folders are not pictures")
        return f"{', '.join(parts)}, in {time.monotonic() - self._began:.1f} s."


def _report(outcome: Outcome, terminal: Terminal) -> None:
    if terminal.as_json:
        document: dict[str, object] = {
            "path": os.fsencode(outcome.path).decode("utf-8", "replace"),
            "state": outcome.state,
            "image_id": outcome.image_id,
            "error": failure(outcome.error) if outcome.error else None,
        }
        terminal.json(document)
        return
    mark, style = _MARKS[outcome.state]
    note = {State.UPLOADED: "", State.SKIPPED: "already uploaded", State.FAILED: str(outcome.error)}[outcome.state]
    if terminal.is_for_people:
        terminal.row(
            styled(mark, style), str(outcome.path), styled(outcome.image_id or "", "cyan"), styled(note, style)
        )
    elif outcome.error is not None:
        terminal.error(f"{outcome.path}: {outcome.error}")
    else:
        terminal.row(str(outcome.path), outcome.image_id or "", outcome.state.value)
