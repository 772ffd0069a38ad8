"""The coded size of a picture, from AV1's sequence header, HEVC's sequence parameter set or HEIF's grid.

Sizes are (width, height) in pixels. Nothing is raised: unreadable data yield no size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

Size = tuple[int, int]

MAX_UNITS = 100
"""Maximum number of OBUs or parameter sets that are read. Encoders write the one with the size first."""
_SEQUENCE_HEADER = 1
_SEQUENCE_PARAMETER_SET = 33


class Bits:
    """Reads numbers of bits, the most significant first. Raises EOFError at the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, bits: int) -> int:
        if bits > self._left:
            raise EOFError
        self._left -= bits
        return self._value >> self._left & (1 << bits) - 1

    skip = read

    def exp_golomb(self) -> int:
        """Read a number in AV1's `uvlc` or HEVC's `ue(v)`."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def in_av1_configuration(body: bytes) -> Iterator[Size]:
    """Read an `av1C` box (AV1 in ISOBMFF, 2.3): four bytes, then OBUs."""
    return in_av1_data(body[4:])


def in_av1_data(data: bytes) -> Iterator[Size]:
    """Yield the largest frame of each sequence header among the OBUs (AV1 specification, 5.3)."""
    with suppress(EOFError):
        for kind, payload in islice(_obus(data), MAX_UNITS):
            if kind == _SEQUENCE_HEADER:
                yield _sequence_header(Bits(payload))


def in_hevc_configuration(body: bytes) -> Iterator[Size]:
    """Yield the sizes in an `hvcC` box (ISO/IEC 14496-15, 8.3.3): 22 bytes, then arrays of NAL units."""
    with suppress(EOFError):
        for unit in islice(_nal_units(Bits(body[22:])), MAX_UNITS):
            if unit[:1] and unit[0] >> 1 & 63 == _SEQUENCE_PARAMETER_SET:
                yield _sequence_parameter_set(Bits(unit[2:].replace(b"\0\0\3", b"\0\0")))


def of_grid(data: bytes) -> Iterator[Size]:
    """Yield the size of an `ImageGrid` (ISO/IEC 23008-12, 6.6.2.3)."""
    with suppress(EOFError):
        fields = Bits(data)
        fields.skip(8)
        bits = 32 if fields.read(8) & 1 else 16
        fields.skip(16)
        yield fields.read(bits), fields.read(bits)


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size = 0
            for shift in range(0, 56, 7):
                byte = data[at] if at < len(data) else 0
                size, at = size | (byte & 127) << shift, at + 1
                if byte < 128:
                    break
        yield header >> 3 & 15, data[at : at + size]
        at += size


def _sequence_header(bits: Bits) -> Size:
    """Read the size in a sequence header (AV1 specification, 5.5.1)."""
    bits.skip(4)  # profile, still picture
    if bits.read(1):  # reduced header
        bits.skip(5)
    else:
        _operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _operating_points(bits: Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing
        bits.skip(64)
        if bits.read(1):
            bits.exp_golomb()
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.skip(42)
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.skip(12)
        if bits.read(5) > 7:
            bits.skip(1)
        if delay_bits and bits.read(1):
            bits.skip(2 * delay_bits + 1)
        if has_display_delay and bits.read(1):
            bits.skip(4)


def _nal_units(fields: Bits) -> Iterator[bytes]:
    for _ in range(fields.read(8)):
        fields.skip(8)
        for _ in range(fields.read(16)):
            length = fields.read(16)
            yield fields.read(8 * length).to_bytes(length, "big")


def _sequence_parameter_set(bits: Bits) -> Size:
    """Read the size in a sequence parameter set (ITU-T H.265, 7.3.2.2)."""
    bits.skip(4)
    sub_layers = bits.read(3)
    bits.skip(1 + 96)  # the general profile and level
    if sub_layers:
        present = [(bits.read(1), bits.read(1)) for _ in range(sub_layers)]
        bits.skip(2 * (8 - sub_layers))
        for profile, level in present:
            bits.skip(88 * profile + 8 * level)
    bits.exp_golomb()
    if bits.exp_golomb() == 3:  # 4:4:4
        bits.skip(1)
    return bits.exp_golomb(), bits.exp_golomb()
