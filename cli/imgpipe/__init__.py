"""imgpipe: what a person at a terminal, or a script, uses the image pipeline's HTTP API with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("imgpipe")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
