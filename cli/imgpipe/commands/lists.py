"""`list` and `search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from imgpipe.client import LARGEST_PAGE, Client
from imgpipe.commands.arguments import CreatedAfter, CreatedBefore, OfStatus, Query, checked_query
from imgpipe.errors import OK
from imgpipe.images import Image
from imgpipe.render import LIST_TITLES, list_row, list_table
from imgpipe.session import Session, session_of
from imgpipe.text import counted

Limit = Annotated[int, typer.Option(min=1, help="How many.")]
All = Annotated[bool, typer.Option("--all", help="All images; overrides --limit.")]


def _checked_words(words: list[str]) -> list[str]:
    """A word may begin with one dash (`-boat` excludes boats), so typer does not reject unknown options here."""
    for word in words or []:
        if word.startswith("--"):
            raise typer.BadParameter(f"There is no option {word}.")
    if words:
        checked_query(" ".join(words))
    return words


def list_images(
    context: typer.Context,
    status: OfStatus = None,
    query: Query = None,
    limit: Limit = 20,
    every: All = False,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
) -> None:
    """List images, newest first."""
    _list(
        session_of(context),
        None if every else limit,
        {"status": status, "q": query, "created_after": created_after, "created_before": created_before},
    )


def search(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD",
            callback=_checked_words,
            help='Words; "exact phrase" (in quotes for the shell, too); -word to exclude; tag:lake; camera:canon; '
            "caption:none and alt:none, together with a word or --status.",
        ),
    ],
    status: OfStatus = None,
    limit: Limit = 20,
    every: All = False,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
) -> None:
    """Search images by their words, newest first: caption, title, alt text, tags, file name, camera."""
    _list(
        session_of(context),
        None if every else limit,
        {"status": status, "q": " ".join(words), "created_after": created_after, "created_before": created_before},
    )


def _list(session: Session, limit: int | None, filters: Mapping[str, str | None]) -> None:
    """Show the images that match the filters, at most `limit` if that is set."""
    terminal = session.terminal

    async def act(client: Client) -> int:
        found = client.images(
            page=LARGEST_PAGE if limit is None else limit + 1,  # one more than shown: are there more?
            on_warning=terminal.warning,
            **filters,
        )
        listed: list[Image] = []
        count, has_more = 0, False
        async for image in found:
            if count == limit:
                has_more = True
                break
            count += 1
            if terminal.as_json:
                terminal.json(image.raw)
            elif terminal.is_for_people:
                listed.append(image)
            else:
                if count == 1:
                    terminal.row(*LIST_TITLES)
                terminal.row(*list_row(image))
        if listed:
            rows = [list_row(image) for image in listed]
            terminal.rows(LIST_TITLES, rows, list_table(rows, terminal.out.width))
        elif not count:
            terminal.note("No images found.")
        if has_more and limit is not None:
            terminal.note(f"Only the newest {counted(limit, 'image')} shown. --limit N or --all shows more.")
        return OK

    session.run(act)
