"""The files that describe the running stack: `env.json` for `sam local`, `stack.json` for `python -m ops`.

A stack locks their folder for as long as it runs. The kernel releases the lock when the process ends, however it
ends, so `python -m ops` can distinguish a running stack from the files of a killed one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.private_files import write_private_json
from local.template import ROOT

FOLDER = ROOT / ".local"
"""The default folder of the files for samconfig.toml and `python -m ops`."""

# ops/target.py uses these names, too.
_DESCRIPTION, _LOCK = "stack.json", "stack.lock"


class FolderInUse(Exception):
    """Another running stack has its files in this folder. `url` is the URL of its API, empty if it is not known."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(
            f"the stack at {url or 'another port'} has its files in {folder}; stop it, or choose another folder "
            "with --env-file"
        )
        self.url = url


class StackFiles:
    """The files of one stack, next to `env_file`. Their folder is locked until `remove` or the end of the process.

    `other_url`: the API of another stack of this checkout, which `sam local` and `python -m ops` use by default.
    Raises `FolderInUse`.
    """

    def __init__(self, env_file: Path, *, api_url: str, other_url: str | None = None) -> None:
        self.env_file = env_file
        self.description = env_file.with_name(_DESCRIPTION)
        self.other_url = other_url
        self._lock_file = env_file.with_name(_LOCK)
        self._lock = _locked(self._lock_file, api_url)

    def write(self, *, env: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Write both files."""
        write_private_json(self.env_file, env)
        write_private_json(self.description, description)

    def remove(self) -> None:
        """Remove the files, and their folder if it is empty, so that the stack is no longer found."""
        for path in (self.description, self.env_file, self._lock_file):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.env_file.parent.rmdir()
        os.close(self._lock)


def claim(env_file: Path | None, *, port: int, api_url: str, folder: Path = FOLDER) -> StackFiles:
    """Claim the files of a stack whose API listens at `port`: next to `env_file`, or in `folder` if that is None.

    If another running stack uses `folder`, they are in a subfolder whose name is the port. Raises `FolderInUse`.
    """
    if env_file is not None:
        return StackFiles(env_file, api_url=api_url)
    try:
        return StackFiles(folder / "env.json", api_url=api_url)
    except FolderInUse as first:
        return StackFiles(folder / str(port) / "env.json", api_url=api_url, other_url=first.url)


def _locked(path: Path, api_url: str) -> int:
    """Lock the file and return its descriptor. `api_url` is written to it, for stacks that do not get the lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with os.fdopen(descriptor, encoding="utf-8") as held:
                raise FolderInUse(path.parent, held.read()) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, api_url.encode())
                return descriptor
        os.close(descriptor)  # the other stack removed the file meanwhile
