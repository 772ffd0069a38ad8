"""Entry point of `imgpipe` and `python -m imgpipe`."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the `imgpipe` script."""
    try:
        from imgpipe.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "httpx"):
            raise
        sys.exit(f"imgpipe requires {error.name}: install it with pip install ./cli")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that does not support a character shows an escape. Without this, printing it would fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="imgpipe")


if __name__ == "__main__":
    main()
