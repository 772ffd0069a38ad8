"""EXIF (CIPA DC-008, version 3.0), read from untrusted bytes in bounded time and memory.

docs/decisions/0010 explains why Pillow is not used.
"""

from __future__ import annotations

from image_processor.picture.exif.reading import MAX_JSON_BYTES, TRUNCATED, Exif, read_exif

__all__ = ["MAX_JSON_BYTES", "TRUNCATED", "Exif", "read_exif"]
