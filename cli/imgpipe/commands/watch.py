"""The command `watch`, and the display of `--wait`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live

from imgpipe.client import Client
from imgpipe.commands.arguments import AnyIds
from imgpipe.errors import OK, SOME_FAILED
from imgpipe.events import follow_events
from imgpipe.following import follow
from imgpipe.images import Image
from imgpipe.render import table
from imgpipe.session import session_of
from imgpipe.terminal import Cell, Terminal, status_text, styled
from imgpipe.text import counted

Events = Annotated[
    bool,
    typer.Option(
        "--events",
        help="Print an event as one line of JSON (docs/events.md) for each image that is processed, fails or is "
        "deleted, until Ctrl-C. Reads the images with these ids, or the whole list (100 images per request) every "
        "second, or less often if that takes many requests. If an image changes several times between two reads, "
        "only the last change is printed.",
    ),
]


def watch(context: typer.Context, ids: AnyIds = None, events: Events = False) -> None:
    """Watch images until they are processed. Without ids, watch all that are in progress now."""
    session = session_of(context)

    async def follow_all(client: Client) -> int:
        await follow_events(client, ids or [], session.terminal.json)
        return OK

    if events:
        session.run(follow_all)
        return

    async def act(client: Client) -> int:
        watched = list(ids or [])
        if not ids:
            for status in ("pending", "processing"):
                watched += [image.image_id async for image in client.images(status=status)]
            if not watched:
                session.terminal.note("Nothing is in progress.")
        # Lists are newest first, but the oldest image is processed first.
        return await watch_until_finished(client, watched if ids else watched[::-1], session.terminal)

    session.run(act)


async def watch_until_finished(client: Client, ids: Sequence[str], terminal: Terminal) -> int:
    """Follow images until all are finished, and show each change. Returns the exit code."""
    board = _Board(ids)
    printed: dict[str, str] = {}

    def print_image(image_id: str, image: Image | None) -> None:
        board.images[image_id] = image
        status = image.status if image else "deleted"
        if printed.get(image_id) == status:
            return
        printed[image_id] = status
        if terminal.as_json:
            terminal.json(image.raw if image else _deleted_status(image_id))
        elif not terminal.is_for_people:
            terminal.row(*_row(image_id, image))

    if terminal.is_for_people and not terminal.quiet and ids:
        with Live(board, console=terminal.out, refresh_per_second=4, vertical_overflow="crop"):
            await follow(client, ids, print_image)
            board.is_over = True
    else:
        await follow(client, ids, print_image)
    return OK if all(image and image.status == "success" for image in board.images.values()) else SOME_FAILED


class _Board:
    """A table of statuses that always fits on the screen: finished images make room for unfinished ones."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.images: dict[str, Image | None] = {}
        self.is_over = False
        self._ids = ids

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ids = list(dict.fromkeys(self._ids))
        room = max(3, console.size.height - 6)
        if not self.is_over and len(ids) > room:
            open_ones = [one for one in ids if not self._is_finished(one)]
            finished = [one for one in ids if self._is_finished(one)]
            kept = {*open_ones[: max(room // 2, room - len(finished))]}
            kept |= {*finished[max(0, len(finished) - (room - len(kept))) :]}
            ids = [one for one in ids if one in kept]
        rows = [_row(one, self.images.get(one), was_polled=one in self.images) for one in ids]
        counts = Counter(self._status(one) for one in dict.fromkeys(self._ids))
        summary = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
        yield Group(
            table(("image", "status", "name", "caption"), rows),
            styled(f"{counted(counts.total(), 'image')}: {summary}", "dim"),
        )

    def _is_finished(self, image_id: str) -> bool:
        return self._status(image_id) in ("success", "failed", "deleted")

    def _status(self, image_id: str) -> str:
        image = self.images.get(image_id)
        return image.status if image else "deleted" if image_id in self.images else "pending"


def _row(image_id: str, image: Image | None, *, was_polled: bool = True) -> tuple[Cell, ...]:
    if image is None:
        return (
            image_id,
            status_text("deleted" if was_polled else ""),
            "",
            "there is no such image" if was_polled else "",
        )
    return image_id, status_text(image.status), image.name, image.outcome


def _deleted_status(image_id: str) -> dict[str, object]:
    return {
        "status": "deleted",
        "data": {"image_id": image_id},
        "error": {"code": "not_found", "message": "There is no such image."},
    }
