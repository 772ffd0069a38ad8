"""The form of an upload: exactly one file. Its name may be written in any way that clients use."""

from __future__ import annotations

import logging
import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any
from urllib.parse import unquote

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from image_api.http.errors import InvalidRequest, SeveralFiles
from image_core.errors import PipelineError, Unavailable

log = logging.getLogger(__name__)

_EXTENDED_NAME = re.compile(rb"""filename\*\s*=\s*"?([\w-]+)'[^']*'([^;\s"]+)""", re.IGNORECASE)


class RefusedForm(HTTPException):
    """A form that cannot be accepted, for the reason in `error`. FastAPI passes on only errors of this class."""

    def __init__(self, error: PipelineError) -> None:
        super().__init__(400, error.message)
        self.error = error


class FormRequest(Request):
    """A request with a multipart form."""

    async def _get_form(self, **_: Any) -> FormData:
        if self._form is None:
            self._form = await self._one_file()
        return self._form

    async def _one_file(self) -> FormData:
        try:
            form = await _Parser(self.headers, self.stream()).parse()
        except MultiPartException as error:
            raise RefusedForm(InvalidRequest(error.message)) from error
        except OSError as error:  # a large file is put on the disk, which may be full
            log.exception("could not keep an upload until it is stored")
            raise RefusedForm(Unavailable()) from error
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) > 1:
            await form.close()
            raise RefusedForm(SeveralFiles(f"{SeveralFiles.default_message} This one has {len(files)} files."))
        return form


class _Parser(MultiPartParser):
    """Starlette's parser knows only `filename`, and leaves it as it was sent."""

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = part.content_disposition or b""
        extended = _extended_name(disposition)
        if extended is not None and not re.search(rb"filename\s*=", disposition, re.IGNORECASE):
            part.content_disposition = (
                disposition + b'; filename="image"'
            )  # else it would be a field without a file
        super().on_headers_finished()
        if part.file is not None:
            part.file.filename = extended or _decoded(part.file.filename or "")


def _extended_name(disposition: bytes) -> str | None:
    """Return the name in `filename*` (RFC 8187), if there is one that can be decoded."""
    found = _EXTENDED_NAME.search(disposition)
    if found is None:
        return None
    try:
        return unquote(found[2].decode("ascii"), encoding=found[1].decode("ascii"), errors="strict")
    except (LookupError, UnicodeError):
        return None


def _decoded(name: str) -> str:
    """Decode encoded words (RFC 2047, from mail libraries), or quotes as browsers and curl write them."""
    if "=?" in name:
        try:
            return str(make_header(decode_header(name)))
        except (HeaderParseError, LookupError, UnicodeError, ValueError):
            return name
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
