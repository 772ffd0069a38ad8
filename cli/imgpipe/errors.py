"""What can go wrong, and the exit code that imgpipe ends with then.

    ImgpipeError                1   something failed for some image
    ├── ApiError                1   the API answered with an error
    │   ├── NotFound            1   there is no such image
    │   └── Refused             4   401, 403: without a key, or with the wrong one
    ├── FileFault               1   a local file cannot be read or written
    ├── BadUsage                2   options that make no sense
    └── Unreachable             3   no response, or one that no image pipeline sends

`Refused` and `Unreachable` end a whole batch: every other file would meet the same. All others are about one image.
"""

from __future__ import annotations

OK, SOME_FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class ImgpipeError(Exception):
    """Its text is for people."""

    exit_code = SOME_FAILED


class ApiError(ImgpipeError):
    """An error that the API answered; `code` is the API's own, or `http_{status}` where it sent none.

    `attempts`: how often the call was made. A repeated one may have done its work the first time.
    """

    def __init__(self, http_status: int, code: str, message: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.attempts = attempts


class NotFound(ApiError):
    """There is no such image."""


class Refused(ApiError):
    """The API wants a key, or another one."""

    exit_code = REFUSED


class FileFault(ImgpipeError):
    """A local file cannot be read or written."""


class BadUsage(ImgpipeError):
    """Options that make no sense."""

    exit_code = USAGE


class Unreachable(ImgpipeError):
    """No response, or one that no image pipeline sends."""

    exit_code = UNREACHABLE


def code_of(error: ImgpipeError) -> str:
    """A stable code for scripts."""
    if isinstance(error, ApiError):
        return error.code
    return {FileFault: "file", BadUsage: "usage", Unreachable: "unreachable"}.get(type(error), "failed")
