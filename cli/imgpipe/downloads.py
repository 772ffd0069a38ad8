"""Downloading: under a name that is safe here, whole or not at all, and over nothing that was there before."""

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

from imgpipe.errors import FileFault
from imgpipe.images import Image

MAX_NAME_BYTES = 200
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}

Fetch = Callable[[Callable[[httpx.Response], Awaitable[None]]], Awaitable[None]]
"""Calls what it is given with the answer whose body is to be kept; again from the start where that broke off."""


def safe_name(image: Image) -> str:
    """The image's own name as a file's name on any system: no folder, nothing hidden, nothing invisible."""
    last = image.name.replace("\\", "/").rpartition("/")[2]
    kept = "".join("_" if letter in '<>:"|?*' else letter for letter in unicodedata.normalize("NFC", last))
    kept = "".join(letter for letter in kept if letter.isprintable()).strip(" .")
    stem, dot, extension = kept.rpartition(".")
    if not dot or len(extension.encode()) > 16:
        stem, extension = kept, ""
    stem = stem.encode()[: MAX_NAME_BYTES - len(extension.encode())].decode(errors="ignore").rstrip(" .")
    if not stem or stem.partition(".")[0].lower() in _RESERVED:
        stem = f"{image.image_id}{'-' if stem else ''}{stem}"
    return f"{stem}.{extension}" if extension else stem


def thumbnail_name(image: Image, size: str, content_type: str) -> str:
    """`photo.jpg` becomes `photo-small.jpg`, with the extension of what the thumbnail is."""
    name = Path(safe_name(image))
    return f"{name.stem}-{size}{_EXTENSIONS.get(content_type.partition(';')[0].strip().lower(), name.suffix)}"


async def keep(
    fetch: Fetch, folder: Path, name: Callable[[httpx.Response], str], *, force: bool
) -> tuple[Path, int]:
    """Writes what `fetch` brings to `folder/name`, and gives its path and size in bytes.

    First beside it, then in one step under its name: whoever looks sees the whole file or none. Raises `FileFault`,
    also if there is such a file and `force` is not given.
    """
    beside = folder / f".imgpipe-{secrets.token_hex(8)}.part"
    target, size = folder, 0

    async def receive(response: httpx.Response) -> None:
        nonlocal target, size
        target = folder / name(response)
        if not force and target.exists():
            raise FileFault(f"{target} is there already; --force replaces it")
        with beside.open("wb") as stream:
            size = await _copy(response, stream)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        await fetch(receive)
        _put_in_place(beside, target, force=force)
    except OSError as error:
        raise FileFault(f"{target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return target, size


def _put_in_place(beside: Path, target: Path, *, force: bool) -> None:
    if force:
        beside.replace(target)
        return
    try:
        os.link(beside, target)  # unlike a rename it never replaces anything
    except FileExistsError as error:
        raise FileFault(f"{target} is there already; --force replaces it") from error
    except OSError:  # a file system without hard links
        if target.exists():
            raise FileFault(f"{target} is there already; --force replaces it") from None
        beside.rename(target)


async def print_out(fetch: Fetch) -> int:
    """Writes what `fetch` brings to stdout; its size in bytes. What broke off half-way cannot be begun again."""
    size = 0

    async def receive(response: httpx.Response) -> None:
        nonlocal size
        if size:
            raise FileFault("the answer broke off in the middle")
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
