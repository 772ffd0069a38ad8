"""Find Debian's Chromium, or the one that CHROMIUM names."""

from __future__ import annotations

import os
import shutil

# No sandbox, because CI runs as root. The other options keep Chromium from calling its vendor's servers.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """Return the path of a Chromium, or None if none is installed."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
