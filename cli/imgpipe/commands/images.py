"""Commands that read (`list`, `show`, `stats`) and commands that change (`delete`, `reprocess`)."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from imgpipe.batches import for_each
from imgpipe.client import LARGEST_PAGE, Client
from imgpipe.commands.arguments import AnyIds, Id, Ids, Jobs, Wait, utc_time
from imgpipe.commands.watch import watch_until_finished
from imgpipe.errors import INTERRUPTED, OK, SOME_FAILED, BadUsage, ImgpipeError
from imgpipe.images import Image
from imgpipe.render import LIST_TITLES, details, list_row, list_table, pairs, stats_rows
from imgpipe.session import session_of
from imgpipe.terminal import Terminal, failure, styled
from imgpipe.text import counted


class Status(StrEnum):
    """Statuses that a list can be filtered by."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


class Stage(StrEnum):
    """What `reprocess` recreates."""

    ALL = "all"
    THUMBNAILS = "thumbnails"
    CAPTION = "caption"


_When = "Date or time (ISO 8601; local without a zone)."


def list_images(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only images with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="All images; overrides --limit.")] = False,
    created_after: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=utc_time, help=f"Only images created at this time or later. {_When}"),
    ] = None,
    created_before: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=utc_time, help=f"Only images created before this time. {_When}"),
    ] = None,
) -> None:
    """List images, newest first."""
    session = session_of(context)
    terminal = session.terminal

    async def act(client: Client) -> int:
        found = client.images(
            page=LARGEST_PAGE if every else limit + 1,  # one more than shown, to know whether there are more
            status=status,
            created_after=created_after,
            created_before=created_before,
        )
        listed: list[Image] = []
        count, has_more = 0, False
        async for image in found:
            if not every and count == limit:
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
        if has_more:
            terminal.note(f"Only the newest {counted(limit, 'image')} shown. --limit N or --all shows more.")
        return OK

    session.run(act)


def show(context: typer.Context, image_id: Id) -> None:
    """Show all details of an image."""
    session = session_of(context)

    async def act(client: Client) -> int:
        image = await client.image(image_id)
        if session.terminal.as_json:
            session.terminal.json(image.raw)
        else:
            rows = details(image)
            session.terminal.rows(("field", "value"), rows, pairs(rows))
        return OK

    session.run(act)


def stats(context: typer.Context) -> None:
    """Show counts, rates and processing times of all images."""
    session = session_of(context)

    async def act(client: Client) -> int:
        found = await client.stats()
        if session.terminal.as_json:
            session.terminal.json(found)
        else:
            rows = stats_rows(found)
            session.terminal.rows(("figure", "value"), rows, pairs(rows))
        return OK

    session.run(act)


def delete(
    context: typer.Context,
    ids: Ids,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without confirmation.")] = False,
    jobs: Jobs = 4,
) -> None:
    """Delete images permanently: original, thumbnails and record."""
    session = session_of(context)

    async def act(client: Client) -> int:
        return await _each(ids, client.delete, "deleted", jobs, session.terminal)

    if not yes and not _is_confirmed(f"Delete {counted(len(ids), 'image')}?", session.terminal):
        raise typer.Exit(SOME_FAILED)
    session.run(act)


def _is_confirmed(question: str, terminal: Terminal) -> bool:
    if not sys.stdin.isatty():
        terminal.error("Not a terminal: pass --yes to delete without confirmation.")
        raise typer.Exit(BadUsage.exit_code)
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C or Ctrl-D
        typer.echo(err=True)
        raise typer.Exit(INTERRUPTED) from None


def reprocess(
    context: typer.Context,
    ids: AnyIds = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed images.")] = False,
    stage: Annotated[Stage, typer.Option(help="What to recreate; the rest is kept.")] = Stage.ALL,
    force: Annotated[
        bool, typer.Option("--force", help="Compute captions even if they could be copied, unchanged.")
    ] = False,
    wait: Wait = False,
    jobs: Jobs = 4,
) -> None:
    """Process images again. The old results stay until the new ones are ready."""
    session = session_of(context)
    if bool(ids) == failed:
        session.terminal.error("Pass either image ids or --failed.")
        raise typer.Exit(BadUsage.exit_code)

    async def act(client: Client) -> int:
        # All ids are read first, because reprocessing images changes the list of failed ones.
        chosen = list(ids or []) or [image.image_id async for image in client.images(status="failed")]
        if not chosen:
            session.terminal.note("There are no failed images.")
        reprocessed_ids: list[str] = []

        async def begin(image_id: str) -> None:
            await client.reprocess(image_id, stage, force=force)
            reprocessed_ids.append(image_id)

        code = await _each(chosen, begin, "requeued", jobs, session.terminal, print_each=not wait)
        return max(code, await watch_until_finished(client, reprocessed_ids, session.terminal)) if wait else code

    session.run(act)


async def _each(
    ids: Sequence[str],
    act: Callable[[str], Awaitable[None]],
    done: str,
    jobs: int,
    terminal: Terminal,
    *,
    print_each: bool = True,
) -> int:
    code = OK

    async def one(image_id: str) -> None:
        await act(image_id)
        if print_each and terminal.as_json:
            terminal.json({"image_id": image_id, "state": done.replace(" ", "_"), "error": None})
        elif print_each:
            terminal.row(image_id, styled(done, "green"))

    def failed(image_id: str, error: ImgpipeError) -> None:
        nonlocal code
        code = SOME_FAILED
        if terminal.as_json:
            terminal.json({"image_id": image_id, "state": "failed", "error": failure(error)})
        else:
            terminal.error(f"{image_id}: {error}")

    await for_each(ids, one, jobs=jobs, failed=failed)
    return code
