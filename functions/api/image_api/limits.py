"""Which files are accepted, by size, name and format, and what to do about rejected ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from image_api.http.errors import EmptyFile, InvalidRequest, TooLarge, UnsupportedUpload
from image_core.formats import SNIFFED_BYTES, format_of, identify, media_type, named

if TYPE_CHECKING:
    from fastapi import UploadFile

    from image_core.settings import Settings

MAX_PAGE_BYTES = 3_000_000
"""Bytes of JSON on a page of the list. Lambda's response may have 6,291,556 bytes. The body is a string in it, so
quotes and backslashes count twice."""

MAX_NAME_CHARACTERS = 1024
"""Limit for a file's name. It is not lower than S3's limit for a key."""


def accepted_media_type(file: UploadFile, settings: Settings) -> str:
    """Detect the media type of a posted file from its first bytes. Raises a `RequestError` if it is rejected."""
    if not file.size:
        raise EmptyFile
    if file.size > settings.max_post_bytes:
        raise TooLarge(post_limit_message(settings))
    if len(file.filename or "") > MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"The file name is longer than {MAX_NAME_CHARACTERS:,} characters.")
    kind = identify(file.file.read(SNIFFED_BYTES))
    file.file.seek(0)
    if kind is None or kind not in settings.allowed_formats:
        raise _unsupported(settings)
    return media_type(kind)


UNKNOWN_TYPE = "application/octet-stream"
"""What a client announces that does not know the type of its file. The bytes decide, as they always do."""


def announced_media_type(size: int, content_type: str, settings: Settings) -> str:
    """Return the media type of an announced file by its usual name, or `UNKNOWN_TYPE`.

    Raises a `RequestError` if the file is not accepted.
    """
    if size == 0:
        raise EmptyFile
    if size > settings.max_image_bytes:
        raise TooLarge(_size_limit_message(settings))
    if content_type.partition(";")[0].strip().lower() == UNKNOWN_TYPE:
        return UNKNOWN_TYPE
    kind = format_of(content_type)
    if kind is None or kind not in settings.allowed_formats:
        raise _unsupported(settings)
    return media_type(kind)


def post_limit_message(settings: Settings) -> str:
    """What to do about a file that is too large for POST /api/images."""
    if settings.max_post_bytes == settings.max_image_bytes:
        return _size_limit_message(settings)
    return (
        f"The file is larger than {settings.max_post_bytes:,} bytes, the limit of this call."
        f" Use POST /api/uploads for files of up to {settings.max_image_bytes:,} bytes."
    )


def _size_limit_message(settings: Settings) -> str:
    return (
        f"The file is larger than {settings.max_image_bytes:,} bytes, the limit of this service."
        " Scale the picture down, then send it with POST /api/uploads."
    )


def _unsupported(settings: Settings) -> UnsupportedUpload:
    return UnsupportedUpload(f"Supported formats: {named(settings.allowed_formats)}.")
