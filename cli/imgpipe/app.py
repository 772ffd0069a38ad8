"""The command line: global options and commands.

Exit codes: see `imgpipe.errors`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from imgpipe import __version__
from imgpipe.commands.download import download
from imgpipe.commands.export import export
from imgpipe.commands.images import delete, reprocess, show, stats
from imgpipe.commands.lists import list_images, review, search
from imgpipe.commands.upload import upload
from imgpipe.commands.watch import watch
from imgpipe.retries import Retries
from imgpipe.session import Session, ending
from imgpipe.settings import DEFAULT_API, resolve
from imgpipe.terminal import Terminal

_FLAGS = ("--insecure", "--json", "--quiet", "-q")
_VALUES = ("--api", "--api-key-file", "--retries")


class Group(TyperGroup):
    """Accepts the global options after the command, too: `imgpipe list --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the global options in front of the command, where typer expects them."""
        return super().parse_args(ctx, _globals_first(args))


def _globals_first(arguments: Sequence[str]) -> list[str]:
    first, rest = [], list[str]()
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _FLAGS or argument.startswith(tuple(f"{name}=" for name in _VALUES)):
            first.append(argument)
        elif argument in _VALUES:
            first += [argument, *[value for value in [next(waiting, None)] if value is not None]]
        else:
            rest.append(argument)
    return first + rest


# Locals in a traceback could reveal the key.
app = typer.Typer(cls=Group, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"imgpipe {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    api: Annotated[
        str,
        typer.Option(
            envvar="IMGPIPE_API", metavar="URL", help="URL of the API, including its stage if it has one."
        ),
    ] = DEFAULT_API,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="IMGPIPE_API_KEY_FILE",
            metavar="FILE",
            help="File with the API key. Without it, the key is read from IMGPIPE_API_KEY.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow sending the API key over plain http to another machine.")
    ] = False,
    retries: Annotated[
        int,
        typer.Option(
            envvar="IMGPIPE_RETRIES",
            min=0,
            max=100,
            help="Number of retries for temporary failures (with increasing delays).",
        ),
    ] = 5,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print results as JSON, one document per line; everything else goes to stderr."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no notes.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Use an image pipeline: upload pictures, watch them being processed, get thumbnails and captions.

    Exit codes: 0 success; 1 at least one image failed; 2 invalid usage; 3 the API cannot be reached;
    4 the API key is missing or invalid; 130 interrupted.
    """
    terminal = Terminal(as_json=as_json, quiet=quiet)
    with ending(terminal):
        settings = resolve(api, os.environ.get("IMGPIPE_API_KEY") or None, api_key_file, insecure=insecure)
    if settings.key_is_exposed:
        terminal.note("The API key is sent unencrypted.")
    context.obj = Session(settings, terminal, Retries(attempts=retries + 1))


app.command()(upload)
app.command()(watch)
app.command("list")(list_images)
app.command(context_settings={"ignore_unknown_options": True})(search)  # `-word` excludes a word
app.command()(review)
app.command()(show)
app.command()(download)
app.command()(export)
app.command()(delete)
app.command()(reprocess)
app.command()(stats)
