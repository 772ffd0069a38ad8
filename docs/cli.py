"""`python -m docs.cli` writes the reference in docs/cli.md from the help texts of `imgpipe`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("cli.md")
_MARK = "\n## Reference\n\n`make docs` writes this section.\n"


def document() -> str:
    """Return docs/cli.md with its hand-written part unchanged and a new reference from typer's generator."""
    text, _, _ = FILE.read_text(encoding="utf-8").partition(_MARK)
    command = [sys.executable, "-m", "typer", "imgpipe.app", "utils", "docs", "--name", "imgpipe"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMGPIPE_")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    _, _, reference = result.stdout.partition("\n**Usage**")
    # Its headings move one level down, below ours.
    return f"{text}{_MARK}\n**Usage**{reference.replace(f'{chr(10)}## ', f'{chr(10)}### ').strip()}\n"


def main() -> None:
    FILE.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
