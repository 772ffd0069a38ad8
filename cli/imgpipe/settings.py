"""URL and key of the API, from options, the environment and files. They are checked once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from imgpipe.errors import BadUsage

DEFAULT_API = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Settings:
    """The settings. `api` has no trailing slash. `key` is never shown."""

    api: str
    key: str | None = field(repr=False)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the API's host is this machine's loopback interface."""
        host = httpx.URL(self.api).host
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def key_is_exposed(self) -> bool:
        """Whether the key is sent unencrypted to another machine."""
        return bool(self.key) and httpx.URL(self.api).scheme == "http" and not self.is_on_this_machine


def resolve(api: str, key: str | None, key_file: Path | None, *, insecure: bool = False) -> Settings:
    """Check and return the settings. `insecure` allows a key over plain http to another machine. Raises
    `BadUsage`."""
    settings = Settings(_checked_url(api), _checked_key(_read(key_file) if key_file else key))
    if settings.key_is_exposed and not insecure:
        raise BadUsage(
            f"The API key would be sent unencrypted to {httpx.URL(settings.api).host}. Use an https URL, or "
            "--insecure if you trust the network."
        )
    return settings


def _checked_url(api: str) -> str:
    try:
        url = httpx.URL(api.strip())
    except httpx.InvalidURL as error:
        raise BadUsage(f"--api must be a URL (got {api}).") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise BadUsage(f"--api must start with http:// or https:// and name a host (got {api}).")
    if url.port is not None and not 0 < url.port < 65536:
        raise BadUsage(f"--api has an invalid port (got {api}).")
    if url.query or url.fragment or url.userinfo:
        raise BadUsage("--api must not have a query, a fragment or a user name.")
    return str(url).rstrip("/")


def _read(key_file: Path) -> str:
    try:
        return key_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadUsage(f"The API key cannot be read from {key_file}: {reason}") from error


def _checked_key(text: str | None) -> str | None:
    if text is None:
        return None
    key = text.strip()
    if not key:
        raise BadUsage("The API key is empty. Set IMGPIPE_API_KEY or use --api-key-file.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BadUsage("The API key has invalid characters. Check IMGPIPE_API_KEY or --api-key-file.")
    return key
