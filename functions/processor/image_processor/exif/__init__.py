"""EXIF (CIPA DC-008, version 3.0): what an image says about itself, from bytes that nobody has looked at yet.

Pillow's reader copies whatever a directory points to, and entries may all point to the same megabyte: a thousand of
them in a file of one megabyte take a gigabyte. So the directories are read here, in bounded time and memory.
"""

from __future__ import annotations

from image_processor.exif.directories import orientation
from image_processor.exif.reading import MAX_JSON_BYTES, TRUNCATED, Exif, read_exif

__all__ = ["MAX_JSON_BYTES", "TRUNCATED", "Exif", "orientation", "read_exif"]
