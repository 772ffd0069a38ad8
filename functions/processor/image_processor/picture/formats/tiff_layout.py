"""Layouts of TIFF that are valid, but that neither libtiff nor Pillow can read.

Pillow has one error for a layout that it does not know and for one that makes no sense.
"""

from __future__ import annotations

from io import BytesIO

from PIL import TiffImagePlugin

from image_core.errors import UnsupportedFormat
from image_processor.picture.exif import ifd

_COMPRESSIONS = {
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32908: "PixarFilm",
    32909: "PixarLog",
    32947: "Kodak DCS",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy DNG",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_COLORS = {
    0: "gray",
    1: "gray",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "Lab",
    9: "Lab",
    10: "Lab",
    32803: "color filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "raw",
}
_SAMPLE_FORMATS = {1: "", 2: ", signed", 3: ", floating point", 4: "", 5: ", complex", 6: ", complex"}
_BITS, _COLOR, _FILL_ORDER, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 258, 262, 266, 277, 284, 339
_MAX_SAMPLES = _MAX_BITS = 64
_UNKNOWN = ("unknown pixel mode", "Invalid value for samples per pixel")


def check_compression(compression: int) -> None:
    """Raise UnsupportedFormat if nothing can unpack this compression (tag 259)."""
    if compression in _COMPRESSIONS:
        raise UnsupportedFormat(f"TIFFs compressed as {_COMPRESSIONS[compression]} are not supported.")


def unsupported(data: bytes) -> str | None:
    """Return why Pillow cannot open a TIFF whose tags are valid. None if they are invalid, or if Pillow can."""
    structure = ifd.parse(data)
    if structure is None or not _is_unknown(data):
        return None
    directory = structure.directory(structure.first)

    def numbers(tag: int, default: int) -> list[int]:
        values = directory[tag].numbers() if tag in directory else [default]
        return [value if isinstance(value, int) else -1 for value in values] or [-1]

    bits, colors, formats = numbers(_BITS, 1), numbers(_COLOR, 0), numbers(_SAMPLE_FORMAT, 1)
    samples = numbers(_SAMPLES, len(bits))[0]
    valid = (
        all(1 <= one <= _MAX_BITS for one in bits)
        and 1 <= samples <= _MAX_SAMPLES
        and len(bits) in (1, samples)
        and colors[0] in _COLORS
        and all(one in _SAMPLE_FORMATS for one in formats)
        and all(one in (1, 2) for one in (*numbers(_PLANES, 1), *numbers(_FILL_ORDER, 1)))
    )
    if not valid:
        return None
    return (
        f"This kind of TIFF is not supported: {_COLORS[colors[0]]}, {samples} × {bits[0]} bits"
        f"{_SAMPLE_FORMATS[formats[0]]}."
    )


def _is_unknown(data: bytes) -> bool:
    try:
        TiffImagePlugin.TiffImageFile(BytesIO(data))
    except SyntaxError as error:
        return str(error) in _UNKNOWN
    except Exception:
        return False
    return False
