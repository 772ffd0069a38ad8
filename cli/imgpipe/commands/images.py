"""Commands that read (`show`, `stats`) and commands that change (`delete`, `reprocess`)."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from imgpipe.batches import for_each
from imgpipe.client import Client
from imgpipe.commands.arguments import (
    AnyIds,
    Id,
    Ids,
    Jobs,
    Query,
    Status,
    Wait,
)
from imgpipe.commands.watch import watch_until_finished
from imgpipe.errors import INTERRUPTED, OK, SOME_FAILED, BadUsage, ImgpipeError
from imgpipe.render import details, pairs, stats_rows
from imgpipe.session import session_of
from imgpipe.terminal import Terminal, failure, styled
from imgpipe.text import counted


class Stage(StrEnum):
    """What `reprocess` recreates."""

    ALL = "all"
    THUMBNAILS = "thumbnails"
    CAPTION = "caption"


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
    query: Query = None,
    stage: Annotated[Stage, typer.Option(help="What to recreate; the rest is kept.")] = Stage.ALL,
    force: Annotated[
        bool, typer.Option("--force", help="Compute captions even if they could be copied, unchanged.")
    ] = False,
    wait: Wait = False,
    jobs: Jobs = 4,
) -> None:
    """Process images again. The old results stay until the new ones are ready."""
    session = session_of(context)
    if bool(ids) == (failed or query is not None):
        session.terminal.error("Pass either image ids, or --failed, --query or both.")
        raise typer.Exit(BadUsage.exit_code)

    async def act(client: Client) -> int:
        # All ids are read first, because reprocessing images changes the list of failed ones.
        chosen = list(ids or [])
        if not chosen:
            found = client.images(
                status=Status.FAILED if failed else None, q=query, on_warning=session.terminal.warning
            )
            chosen = [image.image_id async for image in found]
        if not chosen:
            session.terminal.note("There are no failed images." if query is None else "No images found.")
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
