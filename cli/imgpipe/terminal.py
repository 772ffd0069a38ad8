"""Output: results to stdout, everything else to stderr. Formatted in a terminal, otherwise plain text or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from imgpipe.errors import ImgpipeError, code_of
from imgpipe.text import harmless

STATUS_STYLES = {"success": "green", "failed": "red", "processing": "yellow", "pending": "dim", "deleted": "dim"}

Cell = str | Text


class Terminal:
    """Prints text, never interpreted as markup. `as_json`: only JSON on stdout. `quiet`: only errors."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.out = Console(markup=False, highlight=False, emoji=False)
        self.err = Console(markup=False, highlight=False, emoji=False, stderr=True)

    @property
    def is_for_people(self) -> bool:
        """Whether results go to a terminal, and not as JSON."""
        return self.out.is_terminal and not self.as_json

    @property
    def screen(self) -> Console | None:
        """The console for progress. None if there is no terminal, or if output is off."""
        if self.quiet:
            return None
        if self.out.is_terminal:
            return None if self.as_json else self.out
        return self.err if self.err.is_terminal else None

    @property
    def err_screen(self) -> Console | None:
        """The console for progress on stderr. None if that is no terminal, or if output is off."""
        return self.err if self.err.is_terminal and not self.quiet else None

    def json(self, value: object) -> None:
        """Print one JSON document in a line. It is ASCII, so that any terminal and pipe supports it."""
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    def row(self, *cells: Cell) -> None:
        """Print a result: cells separated by tabs, or by spaces in a terminal."""
        if self.out.is_terminal:
            self.out.print(Text("  ").join(_text(cell) for cell in cells if str(cell)), soft_wrap=True)
        else:
            sys.stdout.write("\t".join(_text(cell).plain for cell in cells) + "\n")
            sys.stdout.flush()

    def rows(self, titles: Sequence[str], rows: Sequence[Sequence[Cell]], rich: RenderableType) -> None:
        """Print a table: `rich` in a terminal, otherwise a line of titles and a line per row, separated by tabs."""
        if self.out.is_terminal:
            self.out.print(rich)
            return
        for cells in (titles, *rows):
            sys.stdout.write("\t".join(_text(cell).plain for cell in cells) + "\n")

    def note(self, text: str) -> None:
        """Print a note, which is not a result."""
        if not self.quiet:
            (self.screen or self.err).print(Text(harmless(text), style="dim"), soft_wrap=True)

    def warning(self, text: str) -> None:
        """Print a warning about the results, on stderr."""
        self.err.print(Text.assemble(("imgpipe: ", "bold yellow"), harmless(text)), soft_wrap=True)

    def error(self, text: str) -> None:
        """Print an error."""
        self.err.print(Text.assemble(("imgpipe: ", "bold red"), harmless(text)), soft_wrap=True)


def status_text(status: str) -> Text:
    """A status in its color."""
    return Text(harmless(status), style=STATUS_STYLES.get(status, ""))


def styled(text: str, style: str) -> Text:
    """An untrusted text in a style."""
    return Text(harmless(text), style=style)


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(harmless(cell))


def failure(error: ImgpipeError) -> dict[str, str]:
    """An error for `--json`."""
    return {"code": code_of(error), "message": str(error)}
