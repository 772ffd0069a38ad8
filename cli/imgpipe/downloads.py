"""Downloads to one folder, with a safe name, atomically, and without replacing files by default."""

from __future__ import annotations

import os
import secrets
import sys
import unicodedata
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import httpx

from imgpipe.errors import FileError
from imgpipe.images import Image

MAX_NAME_BYTES = 200
_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³")
_RESERVED = {"con", "conin$", "conout$", "prn", "aux", "nul", *_PORTS}
"""Device names on Windows, with any extension and optional spaces before it."""

_EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}

Fetch = Callable[[Callable[[httpx.Response], Awaitable[None]]], Awaitable[None]]
"""Passes the response to its argument, which stores the body. Calls it again if the connection is lost."""


def safe_name(image: Image) -> str:
    """The image's own name as a valid file name on any system: no folders, not hidden, no invisible characters."""
    last = image.name.replace("\\", "/").rpartition("/")[2]
    kept = "".join("_" if letter in '<>:"|?*' else letter for letter in unicodedata.normalize("NFC", last))
    kept = "".join(letter for letter in kept if letter.isprintable()).strip(" .")
    stem, dot, extension = kept.rpartition(".")
    if not dot or len(extension.encode()) > 16:
        stem, extension = kept, ""
    stem = stem.encode()[: MAX_NAME_BYTES - len(extension.encode())].decode(errors="ignore").rstrip(" .")
    if not stem or stem.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        stem = f"{image.image_id}{'-' if stem else ''}{stem}"
    return f"{stem}.{extension}" if extension else stem


def name_with_id(name: str, image: Image) -> str:
    """`name` with the image's id before the extension, for images that have the same name."""
    path = Path(name)
    return f"{path.stem}-{image.image_id}{path.suffix}"


def thumbnail_name(image: Image, size: str, content_type: str) -> str:
    """The file name of a thumbnail: `photo.jpg` becomes `photo-small.jpg`, with the extension of its type."""
    name = Path(safe_name(image))
    return f"{name.stem}-{size}{_EXTENSIONS.get(content_type.partition(';')[0].strip().lower(), name.suffix)}"


async def keep(
    fetch: Fetch, folder: Path, name: Callable[[httpx.Response], str], *, force: bool
) -> tuple[Path, int]:
    """Write the response body to `folder/name`, and return the file's path and its size in bytes.

    The body goes to a temporary file in the same folder, which is then renamed atomically: other programs see the
    whole file or none. Nothing outside `folder` is written: `name` must not lead elsewhere, and a symbolic link
    with that name is replaced, not followed. Raises `FileError`, also if the file exists and `force` is not set.
    """
    partial = folder / f".imgpipe-{secrets.token_hex(8)}.part"
    target, size = folder, 0

    async def receive(response: httpx.Response) -> None:
        nonlocal target, size
        target = folder / _single_component(name(response))
        if not force and os.path.lexists(target):
            raise already_exists(target)
        # "x" does not follow symbolic links. A retry discards the partial file of the previous attempt.
        partial.unlink(missing_ok=True)
        with partial.open("xb") as stream:
            size = await _copy(response, stream)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        await fetch(receive)
        put_in_place(partial, target, force=force)
    except OSError as error:
        raise FileError(f"{target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return target, size


def _single_component(name: str) -> str:
    if (
        name in ("", ".", "..")
        or "\0" in name
        or any(separator in name for separator in (os.sep, os.altsep or os.sep))
    ):
        raise FileError(
            f"{name!r} cannot be a file's name in that folder; use --output FILE to choose another name"
        )
    return name


def put_in_place(partial: Path, target: Path, *, force: bool) -> None:
    """Give a complete file its name. Raises `FileError` if the name is taken and `force` is not set."""
    if force:
        partial.replace(target)
        return
    try:
        os.link(partial, target)  # unlike a rename, it never replaces a file
    except FileExistsError as error:
        raise already_exists(target) from error
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise already_exists(target) from None
        partial.rename(target)


def already_exists(target: Path) -> FileError:
    """Return the error for a file that would be replaced."""
    return FileError(f"{target} already exists; use --force to replace it")


async def print_out(fetch: Fetch) -> int:
    """Write the body of `fetch` to stdout, and return its size in bytes. An interrupted body cannot be retried."""
    size = 0

    async def receive(response: httpx.Response) -> None:
        nonlocal size
        if size:
            raise FileError("the connection was lost during the download; run the command again")
        async for piece in response.aiter_bytes():
            size += len(piece)
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    await fetch(receive)
    return size


async def _copy(response: httpx.Response, stream: BinaryIO) -> int:
    size = 0
    async for piece in response.aiter_bytes():
        size += stream.write(piece)
    return size
