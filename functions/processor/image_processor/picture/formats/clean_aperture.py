"""The clean aperture (`clap`, ISO/IEC 14496-12, 12.1.4): the part of a coded picture that is to be shown."""

from __future__ import annotations

import struct
from fractions import Fraction

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def box(payload: bytes, size: tuple[int, int]) -> Box | None:
    """Return the part of a picture of `size` (width, height) to show. None if it is invalid, or is all of it.

    Browsers ignore invalid apertures: empty, reaching beyond the picture, or with a denominator of zero.
    """
    if len(payload) < 32:
        return None
    numbers = struct.unpack_from(">8I", payload)
    if 0 in numbers[1::2]:
        return None
    across, down = Fraction(numbers[0], numbers[1]), Fraction(numbers[2], numbers[3])
    # Offsets of the center, which are signed.
    right, below = (Fraction((number ^ 1 << 31) - (1 << 31), unit) for number, unit in (numbers[4:6], numbers[6:]))
    width, height = round(across), round(down)
    left, top = round((size[0] - across) / 2 + right), round((size[1] - down) / 2 + below)
    inside = width > 0 and height > 0 and 0 <= left <= size[0] - width and 0 <= top <= size[1] - height
    return (left, top, left + width, top + height) if inside and (width, height) != size else None
