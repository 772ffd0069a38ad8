"""`list`, `search` and `review`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated

import typer

from imgpipe.client import LARGEST_PAGE, MAX_COUNTED, Client
from imgpipe.commands.arguments import CreatedAfter, CreatedBefore, OfStatus, Query, checked_query
from imgpipe.errors import OK
from imgpipe.images import Image
from imgpipe.render import LIST_TITLES, REVIEW_TITLES, list_row, list_table, review_row
from imgpipe.session import Session, session_of
from imgpipe.terminal import Cell
from imgpipe.text import counted

Limit = Annotated[int, typer.Option(min=1, help="How many.")]
All = Annotated[bool, typer.Option("--all", help="All images; overrides --limit.")]
OldestFirst = Annotated[bool, typer.Option("--oldest-first", help="The oldest first, instead of the newest.")]


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
    oldest_first: OldestFirst = False,
) -> None:
    """List images, newest first."""
    filters = {"status": status, "q": query, "created_after": created_after, "created_before": created_before}
    _list(session_of(context), None if every else limit, filters | _order(oldest_first))


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
    oldest_first: OldestFirst = False,
) -> None:
    """Search images by their words, newest first: caption, title, alt text, tags, file name, camera."""
    query = " ".join(words)
    filters = {"status": status, "q": query, "created_after": created_after, "created_before": created_before}
    _list(session_of(context), None if every else limit, filters | _order(oldest_first))


def review(context: typer.Context, query: Query = None, limit: Limit = 20, every: All = False) -> None:
    """List images to review: they have no alt text yet. The lowest confidence of the caption comes first."""
    _list(session_of(context), None if every else limit, {"review": "open", "q": query}, REVIEW_TITLES, review_row)


def _order(oldest_first: bool) -> dict[str, str | None]:
    return {"order": "oldest" if oldest_first else None}


def _list(
    session: Session,
    limit: int | None,
    filters: Mapping[str, str | None],
    titles: Sequence[str] = LIST_TITLES,
    row: Callable[[Image], tuple[Cell, ...]] = list_row,
) -> None:
    """Show the images that match the filters, at most `limit` if that is set."""
    terminal = session.terminal
    to_review: int | None = None

    async def images_of(client: Client) -> AsyncIterator[Image]:
        nonlocal to_review
        page_size = LARGEST_PAGE if limit is None else limit + 1  # one more than shown: are there more?
        async for page in client.pages(limit=page_size, on_warning=terminal.warning, **filters):
            to_review = to_review or page.review_count
            for image in page.images:
                yield image

    async def act(client: Client) -> int:
        listed: list[Image] = []
        count, has_more = 0, False
        async for image in images_of(client):
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
                    terminal.row(*titles)
                terminal.row(*row(image))
        if listed:
            rows = [row(image) for image in listed]
            terminal.rows(titles, rows, list_table(titles, rows, terminal.out.width))
        elif not count:
            terminal.note("No images found.")
        if has_more and limit is not None:
            which = "first" if "review" in filters else filters.get("order") or "newest"
            shown = f"Only the {which} {counted(limit, 'image')}"
            if to_review:
                shown = f"{limit:,} of {to_review:,}{' or more' if to_review >= MAX_COUNTED else ''} images"
            terminal.note(f"{shown} shown. --limit N or --all shows more.")
        return OK

    session.run(act)
