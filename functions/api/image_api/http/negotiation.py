"""Content negotiation (RFC 9110, section 12.5): what the headers `Accept` and `Accept-Encoding` list."""

from __future__ import annotations

import re

_WEIGHT_ZERO = re.compile(r"q\s*=\s*0(\.0*)?")


def accepts(header: str | None, name: str) -> bool:
    """Whether `header` lists `name` (in lowercase) with a weight above 0. Wildcards do not count."""
    for entry in (header or "").lower().split(","):
        listed, *parameters = (part.strip() for part in entry.split(";"))
        if listed == name:
            return not any(_WEIGHT_ZERO.fullmatch(parameter) for parameter in parameters)
    return False
