"""The errors of imgpipe and their exit codes.

    ImgpipeError                1   at least one image failed
    ├── ApiError                1   the API returned an error
    │   ├── NotFound            1   there is no such image
    │   └── Refused             4   401, 403: the key is missing or invalid
    ├── FileError               1   a local file cannot be read or written
    ├── BadUsage                2   invalid options
    └── Unreachable             3   no response, or one that an image pipeline never sends

`Refused` and `Unreachable` end a whole batch, because all other files would fail in the same way. All other errors
are about one image.
"""

from __future__ import annotations

OK, SOME_FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class ImgpipeError(Exception):
    """Base of all errors. The text is for people."""

    exit_code = SOME_FAILED


class ApiError(ImgpipeError):
    """An error response of the API. `code` is the API's own, or `http_{status}` if it sent none.

    `attempts`: how often the call was made. A repeated call may have succeeded the first time.
    """

    def __init__(self, http_status: int, code: str, message: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.attempts = attempts


class NotFound(ApiError):
    """There is no such image."""


class Refused(ApiError):
    """The API key is missing or invalid."""

    exit_code = REFUSED


class FileError(ImgpipeError):
    """A local file cannot be read or written."""


class BadUsage(ImgpipeError):
    """The options are invalid."""

    exit_code = USAGE


class Unreachable(ImgpipeError):
    """No response, or one that an image pipeline never sends."""

    exit_code = UNREACHABLE


def code_of(error: ImgpipeError) -> str:
    """A stable code for scripts."""
    if isinstance(error, ApiError):
        return error.code
    return {FileError: "file", BadUsage: "usage", Unreachable: "unreachable"}.get(type(error), "failed")
