"""imgpipe: the command line client of the image pipeline's HTTP API, for terminals and scripts."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("imgpipe")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"
