"""`export`: records as JSON, CSV or XMP sidecars."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from imgpipe.client import Client, Page
from imgpipe.commands.arguments import CreatedAfter, CreatedBefore, OfStatus, Query
from imgpipe.errors import OK, SOME_FAILED, ApiError, BadUsage, FileError, ImgpipeError
from imgpipe.exports import ExportFile, Position
from imgpipe.images import Image
from imgpipe.progress import CountBar
from imgpipe.session import ending, session_of
from imgpipe.sidecars import Sidecars, State
from imgpipe.tabular import csv_line, csv_titles, json_line
from imgpipe.terminal import Terminal, failure
from imgpipe.text import counted

STDOUT = "-"
_BAD_CURSOR = "bad_cursor"


class Format(StrEnum):
    """What `export` writes."""

    JSONL = "jsonl"
    CSV = "csv"
    XMP = "xmp"


Pages = Callable[[str | None], AsyncIterator[Page]]
"""Reads pages, beginning at a cursor."""


def export(
    context: typer.Context,
    kind: Annotated[
        Format,
        typer.Argument(
            metavar="FORMAT",
            help="jsonl: the API's responses, one per line. csv: a table. xmp: sidecars for photo software.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File, or - for stdout (the default). For xmp: folder (default: the current one).",
        ),
    ] = None,
    status: OfStatus = None,
    query: Query = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace an existing file, and sidecars of other programs.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an unfinished export to this file, and begin again.")
    ] = False,
) -> None:
    """Export records, newest first.

    If an export to a file is interrupted, by Ctrl-C or in any other way, run the same command again. It continues
    where it stopped.
    """
    session = session_of(context)
    terminal = session.terminal
    filters: dict[str, Any] = {
        "status": status,
        "q": query,
        "created_after": created_after,
        "created_before": created_before,
    }
    with ending(terminal):
        _check(kind, output, restart=restart, as_json=terminal.as_json)

    async def act(client: Client) -> int:
        def pages(cursor: str | None) -> AsyncIterator[Page]:
            return client.pages(cursor=cursor, on_warning=terminal.warning, **filters)

        if kind is Format.XMP:
            return await _sidecars(pages, Path(output or "."), terminal, force=force)
        if output in (None, STDOUT):
            return await _to_stdout(pages, kind, terminal)
        subject = {"api": client.api, "format": kind, **filters}
        with ExportFile(Path(str(output)), subject, force=force, restart=restart) as file:
            return await _to_file(pages, kind, file, terminal)

    session.run(act)


def _check(kind: Format, output: str | None, *, restart: bool, as_json: bool) -> None:
    to_stdout = output in (None, STDOUT)
    if kind is Format.XMP and output == STDOUT:
        raise BadUsage("Sidecars need a folder: pass one with --output.")
    if restart and (kind is Format.XMP or to_stdout):
        raise BadUsage("--restart needs a file: pass one with --output.")
    if kind is Format.CSV and to_stdout and as_json:
        raise BadUsage("CSV on stdout is not JSON. Use `export jsonl`, or pass a file with --output.")


def _titles(kind: Format) -> bytes:
    """What comes before the first page. It is written with that page: if the API rejects the query, nothing is."""
    return csv_titles() if kind is Format.CSV else b""


def _lines(kind: Format, images: list[Image]) -> bytes:
    return b"".join(map(json_line if kind is Format.JSONL else csv_line, images))


async def _to_stdout(pages: Pages, kind: Format, terminal: Terminal) -> int:
    out = sys.stdout.buffer
    titles = _titles(kind)
    # Bars would be mixed with the lines in the same terminal.
    with CountBar(None if terminal.out.is_terminal else terminal.err_screen) as bar:
        async for page in pages(None):
            out.write(titles + _lines(kind, page.images))
            out.flush()
            titles = b""
            bar.advance(len(page.images))
    out.flush()
    return OK


async def _to_file(pages: Pages, kind: Format, file: ExportFile, terminal: Terminal) -> int:
    begun = file.position
    if begun.images:
        terminal.note(f"Continuing after {counted(begun.images, 'image')}.")
    titles = b"" if begun.size else _titles(kind)
    try:
        with CountBar(terminal.err_screen, done=begun.images) as bar:
            if not begun.is_complete:
                async for page in pages(begun.cursor):
                    images = file.position.images + len(page.images)
                    is_last = page.next_cursor is None
                    lines = titles + _lines(kind, page.images)
                    file.append(lines, Position(page.next_cursor, 0, images, is_last))
                    titles = b""
                    bar.advance(len(page.images))
        file.finish()
    except ApiError as error:
        if error.code == _BAD_CURSOR and file.position == begun:
            raise FileError(
                f"The API no longer accepts the position at which {file.part} stopped. --restart begins again."
            ) from error
        raise
    except (asyncio.CancelledError, ImgpipeError):
        if file.position.images:
            found = counted(file.position.images, "image")
            terminal.note(f"{found} exported so far. Run the same command again to continue.")
        raise
    report = {"state": "exported", "path": str(file.target), "images": file.position.images, "error": None}
    if terminal.as_json:
        terminal.json(report)
    else:
        terminal.note(f"{counted(file.position.images, 'image')} exported to {file.target}.")
    return OK


async def _sidecars(pages: Pages, folder: Path, terminal: Terminal, *, force: bool) -> int:
    sidecars = Sidecars(folder, force=force)
    counts: Counter[str] = Counter()
    with CountBar(terminal.err_screen) as bar:
        async for page in pages(None):
            for image in page.images:
                counts[_sidecar(sidecars, image, folder, terminal)] += 1
            bar.advance(len(page.images))
    words = {
        State.WRITTEN: "written",
        State.UNCHANGED: "unchanged",
        State.WITHOUT_WORDS: "not written, because the image has no words",
        "failed": "failed",
    }
    listed = [f"{counts[state]:,} {text}" for state, text in words.items() if counts[state]]
    terminal.note(f"Sidecars: {', '.join(listed) or 'none'}.")
    return SOME_FAILED if counts["failed"] else OK


def _sidecar(sidecars: Sidecars, image: Image, folder: Path, terminal: Terminal) -> str:
    report: Mapping[str, Any]
    try:
        state, path = sidecars.write(image)
    except OSError as error:
        # All others would fail, too: the folder is read-only, or the disk is full.
        raise FileError(f"{error.filename or folder}: {error.strerror or error}") from error
    except FileError as error:
        report = {"image_id": image.image_id, "state": "failed", "path": None, "error": failure(error)}
        if terminal.as_json:
            terminal.json(report)
        else:
            terminal.error(f"{image.image_id}: {error}")
        return "failed"
    if terminal.as_json:
        shown = str(path) if path else None
        terminal.json({"image_id": image.image_id, "state": state, "path": shown, "error": None})
    return state
