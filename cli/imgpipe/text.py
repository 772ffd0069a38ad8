"""Make untrusted text (file names, captions, messages) safe for a terminal."""

from __future__ import annotations

import unicodedata
from datetime import datetime

_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners, which Persian, Indic scripts and emoji need. They are harmless."""


def harmless(text: str) -> str:
    """`text` in one line. Characters that could control a terminal or change the text's direction are escaped."""
    return "".join(_escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS:
        return letter
    if unicodedata.category(letter) == "Zs":
        return " "
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def size_text(size: float) -> str:
    """Format a number of bytes with a unit, in steps of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("GB is the last unit")


def time_text(iso: object) -> str:
    """Format a time of the API in the local zone. Invalid times are returned unchanged."""
    try:
        return datetime.fromisoformat(str(iso)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return str(iso or "")


def counted(count: int, noun: str) -> str:
    """Format a count with its noun: `1 image`, `2 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
