"""One run of imgpipe: its settings, its terminal, and its exit code."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from imgpipe.client import Client
from imgpipe.connection import Connection
from imgpipe.errors import INTERRUPTED, OK, SOME_FAILED, ImgpipeError
from imgpipe.retries import Retries
from imgpipe.settings import Settings
from imgpipe.terminal import Terminal


@dataclass(frozen=True)
class Session:
    """The context of every command."""

    settings: Settings
    terminal: Terminal
    retries: Retries

    def run(self, act: Callable[[Client], Awaitable[int]]) -> None:
        """Run a command with a client, and exit with the code that it returns."""

        async def connected() -> int:
            async with Connection(self.settings, self.retries) as connection:
                return await act(Client(connection))

        with ending(self.terminal):
            # asyncio converts the first Ctrl-C to a cancellation, so that everything is closed and the summary is
            # shown.
            code = asyncio.run(connected())
            if code != OK:
                raise typer.Exit(code)


@contextmanager
def ending(terminal: Terminal) -> Iterator[None]:
    """Convert errors to a line on stderr and an exit code."""
    try:
        yield
    except ImgpipeError as error:
        terminal.error(str(error))
        raise typer.Exit(error.exit_code) from error
    except (KeyboardInterrupt, asyncio.CancelledError) as interrupt:
        raise typer.Exit(INTERRUPTED) from interrupt
    except BrokenPipeError as error:
        # The reader of stdout has closed it (`| head`), so nothing more can be printed, not even at exit.
        _discard_stdout()
        raise typer.Exit(OK) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # A full disk behind `> file`. What stdout still holds cannot be written either.
        _discard_stdout()
        terminal.error(f"{error.filename or 'The output'} cannot be written: {error.strerror}")
        raise typer.Exit(SOME_FAILED) from error


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def session_of(context: typer.Context) -> Session:
    """The session that was created from the global options."""
    found = context.obj
    assert isinstance(found, Session)
    return found
