"""The scans of a JPEG (ITU-T T.81): how many there are, and whether a file without its end marker has all of them.

libjpeg waits for bytes beyond the last pixel, so a file that lacks only its end marker cannot be decoded. If a
marker is appended, libjpeg decodes every file, whatever is missing, and Pillow does not say that it filled a gap.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from image_processor.picture import pixels

MAX_SCANS = 100
"""Each scan is a pass over the whole picture, and may be a few bytes long. Encoders write 1 to 4, progressive ones
about 10."""
MAX_SCANS_WITHOUT_END = 20
"""Such a file is decoded several times."""

END = b"\xff\xd9"
_END, _SCAN = 0xD9, 0xDA
# In entropy-coded data, a byte 0xFF is followed by zero, a restart marker or another 0xFF.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def are_too_many(data: bytes, first: int) -> bool:
    """Return whether the picture has more than `MAX_SCANS` scans. The marker of the first is at `first`."""
    if data.count(b"\xff\xda", first) <= MAX_SCANS:
        return False  # whatever those bytes are
    return any(number > MAX_SCANS for number, _ in enumerate(_headers(data, first), start=1))


def send_everything(data: bytes, first: int, components: bytes) -> bool:
    """Return whether the scans announce each coefficient of each component down to its last bit.

    A progressive file sends the 64 coefficients of a block in several scans, the last bits later than the others.
    """
    missing_bits = {component: bytearray(b"\xff" * 64) for component in components}
    for number, at in enumerate(_headers(data, first), start=1):
        if number > MAX_SCANS_WITHOUT_END:
            return False
        count = data[at] if at < len(data) else 0
        parameters = data[at + 1 + 2 * count : at + 4 + 2 * count]
        if len(parameters) < 3:
            return False
        start, end, bits = parameters[0], min(parameters[1], 63), parameters[2] & 15
        for component in data[at + 1 : at + 1 + 2 * count : 2]:
            for coefficient in range(start, end + 1) if component in missing_bits else ():
                missing_bits[component][coefficient] = bits
    return not any(any(bits) for bits in missing_bits.values())


def with_end(data: bytes) -> bytes | None:
    """Return a JPEG without end marker with one. None if pixels are missing.

    The file is decoded at full size with different continuations, two of which differ in each bit. If the picture
    is the same each time, no pixel depends on the missing bytes.
    """
    kept = len(data)
    while data[kept - 1] == 0xFF:  # half of the end marker
        kept -= 1
    digests = (_digest(data, kept, continuation) for continuation in (END, *_continuations()))
    expected = next(digests)
    return _joined(data, kept, END) if all(digest == expected for digest in digests) else None


def _headers(data: bytes, first: int) -> Iterator[int]:
    """Yield the offset of each scan's header, behind its length. The marker of the first scan is at `first`."""
    at = first
    while (marker := _MARKER.search(data, at)) and data[marker.start() + 1] != _END:
        at = marker.end()
        if data[at - 1] == _SCAN:
            yield at + 2
        at += int.from_bytes(data[at : at + 2], "big")


def _continuations() -> Iterator[bytes]:
    """Yield noise and its complement as entropy-coded data, each with every restart marker.

    A decoder that waits for a restart marker skips the data before it. It also takes no data if it finds one of
    the next two markers instead. So the second continuation begins with another marker.
    """
    noise = bytes(1 + byte % 254 for byte in hashlib.shake_128(b"JPEG").digest(64 + 16 * 16))
    for first, data in ((0, noise), (4, bytes(255 - byte for byte in noise))):
        restarts = (
            bytes((0xFF, 0xD0 | first + number & 7)) + data[64 + 16 * number :][:16] for number in range(16)
        )
        yield data[:64] + b"".join(restarts) + END


def _digest(data: bytes, kept: int, continuation: bytes) -> int:
    """Return a checksum of all pixels."""
    image = Image.open(BytesIO(_joined(data, kept, continuation)), formats=["JPEG"])
    digest = 0
    for _, strip in pixels.strips(image, 1):
        digest = zlib.crc32(strip.tobytes(), digest)
    return digest


def _joined(data: bytes, kept: int, continuation: bytes) -> bytes:
    return b"".join((memoryview(data)[:kept], continuation))
