"""Build PNG files chunk by chunk."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, body: bytes, *, length: int | None = None) -> bytes:
    """Build a chunk with a valid checksum. `length` replaces the declared length."""
    declared = len(body) if length is None else length
    return struct.pack(">I", declared) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width: int, height: int, *, depth: int = 8, color: int = 2, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))


def png(*chunks: bytes) -> bytes:
    """Put the chunks between signature and end."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """Return that many compressed zeros (in zlib's format), without compressing all of them."""
    block = _deflated_zeros(1 << 20, zlib.Z_FULL_FLUSH) * (
        count >> 20
    )  # complete in itself, so that it can be repeated
    last = _deflated_zeros(count & (1 << 20) - 1, zlib.Z_FINISH)
    checksum = count % 65_521 << 16 | 1  # Adler-32 of zeros
    return b"\x78\x9c" + block + last + checksum.to_bytes(4, "big")


def _deflated_zeros(count: int, flush: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(bytes(count)) + deflate.flush(flush)


def interlaced(width: int = 9, height: int = 9) -> bytes:
    """Build an Adam7-interlaced picture in 8-bit gray, which Pillow does not write."""
    rows = b""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    for left, top, across, down in passes:
        columns = range(left, width, across)
        for y in range(top, height, down) if columns else ():
            rows += b"\0" + bytes(20 * (x + y) % 256 for x in columns)
    return png(header(width, height, color=0, interlace=1), chunk(b"IDAT", zlib.compress(rows)))
