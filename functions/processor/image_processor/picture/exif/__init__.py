"""EXIF (CIPA DC-008, version 3.0): what an image says about itself, from bytes that nobody has looked at yet, in
bounded time and memory. Why not by Pillow: docs/decisions/0010.
"""

from __future__ import annotations

from image_processor.picture.exif.ifd import orientation
from image_processor.picture.exif.reading import MAX_JSON_BYTES, TRUNCATED, Exif, read_exif

__all__ = ["MAX_JSON_BYTES", "TRUNCATED", "Exif", "orientation", "read_exif"]
