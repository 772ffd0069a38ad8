"""Which formats are taken, and telling them by their first bytes. No decoding happens here."""

from __future__ import annotations

import filetype

MEDIA_TYPES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
    "image/avif": "AVIF",
}
"""Media types that are accepted, and what people call them."""

SNIFFED_BYTES = 8192
"""How much of a file's beginning `sniff` wants to see."""

_ALIASES = {"image/apng": "image/png"}


def sniff(beginning: bytes) -> str | None:
    """The accepted media type that these first bytes are the signature of; None for everything else."""
    kind = filetype.guess(beginning)
    if kind is None:
        return None
    media_type = _ALIASES.get(kind.mime, kind.mime)
    return media_type if media_type in MEDIA_TYPES else None
