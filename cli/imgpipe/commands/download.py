"""`download`: thumbnails and originals."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import httpx
import typer

from imgpipe.batches import for_each
from imgpipe.client import Client
from imgpipe.commands.arguments import AnyIds, Jobs, Query
from imgpipe.downloads import Fetch, keep, name_with_id, print_out, safe_name, thumbnail_name
from imgpipe.errors import OK, SOME_FAILED, USAGE, ImgpipeError, NotFound
from imgpipe.images import Image
from imgpipe.session import session_of
from imgpipe.terminal import Terminal, failure
from imgpipe.text import size_text

ORIGINAL = "original"
_SIZE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _checked_size(size: str) -> str:
    if not _SIZE.fullmatch(size):
        raise typer.BadParameter(
            f"{size!r} is not the name of a size. `imgpipe show ID` lists an image's thumbnails."
        )
    return size


def download(
    context: typer.Context,
    ids: AnyIds = None,
    query: Query = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            callback=_checked_size,
            help="A rendition of the API (small, medium, large, ...), or original: the file as it was uploaded.",
        ),
    ] = ORIGINAL,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="Folder; for one image also a file name, or - for stdout."),
    ] = ".",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace existing files.")] = False,
    jobs: Jobs = 4,
) -> None:
    """Download images with their own names."""
    session = session_of(context)
    terminal = session.terminal
    target = Path(output)
    if bool(ids) == (query is not None):
        terminal.error("Pass either image ids or --query.")
        raise typer.Exit(USAGE)
    is_one = len(ids or []) == 1
    is_folder = target.is_dir() or not is_one or output.endswith(("/", os.sep))
    if not is_one and (output == "-" or (target.exists() and not target.is_dir())):
        terminal.error("Several images need a folder: pass one with --output.")
        raise typer.Exit(USAGE)

    async def act(client: Client) -> int:
        used_names: set[str] = set()
        code = OK

        async def one(image_id: str) -> None:
            image = await client.image(image_id)
            fetch = partial(client.original, image_id) if size == ORIGINAL else _thumbnail(client, image, size)
            if output == "-":
                await print_out(fetch)
                return

            @cache  # an interrupted download that is retried keeps its name
            def own_name(content_type: str) -> str:
                return _own_name(image, size, content_type, used_names)

            def name(response: httpx.Response) -> str:
                return own_name(response.headers.get("Content-Type", "")) if is_folder else target.name

            path, length = await keep(fetch, target if is_folder else target.parent, name, force=force)
            _report(terminal, image_id, path, length)

        def failed(image_id: str, error: ImgpipeError) -> None:
            nonlocal code
            code = SOME_FAILED
            if terminal.as_json:
                terminal.json(
                    {"image_id": image_id, "state": "failed", "path": None, "size": None, "error": failure(error)}
                )
            else:
                terminal.error(f"{image_id}: {error}")

        chosen = list(ids or [])
        if query is not None:
            chosen = [image.image_id async for image in client.images(q=query, on_warning=terminal.warning)]
            if not chosen:
                terminal.note("No images found.")
        await for_each(chosen, one, jobs=jobs, failed=failed)
        return code

    session.run(act)


def _thumbnail(client: Client, image: Image, size: str) -> Fetch:
    """Download a thumbnail. If this size does not exist, raises `NotFound` with the existing sizes."""

    async def fetch(receive: Callable[[httpx.Response], Awaitable[None]]) -> None:
        if image.thumbnails and size not in image.thumbnails:
            raise _no_thumbnail(image, size)
        try:
            await client.thumbnail(image.image_id, size, receive)
        except NotFound as error:
            raise error if size in image.thumbnails else _no_thumbnail(image, size, error.code) from error

    return fetch


def _no_thumbnail(image: Image, size: str, code: str = "not_found") -> NotFound:
    there_are = ", ".join((*image.thumbnails, ORIGINAL))
    return NotFound(404, code, f"This image ({image.status}) has no thumbnail {size!r}. It has: {there_are}.")


def _own_name(image: Image, size: str, content_type: str, used_names: set[str]) -> str:
    """The image's name, with its id appended if another image of this batch has that name on any file system."""
    path = Path(safe_name(image) if size == ORIGINAL else thumbnail_name(image, size, content_type))
    while path.name.casefold() in used_names:
        path = Path(name_with_id(path.name, image))
    used_names.add(path.name.casefold())
    return path.name


def _report(terminal: Terminal, image_id: str, path: Path, length: int) -> None:
    if terminal.as_json:
        terminal.json(
            {"image_id": image_id, "state": "downloaded", "path": str(path), "size": length, "error": None}
        )
    else:
        terminal.row(image_id, str(path), size_text(length))
